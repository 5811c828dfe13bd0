// Package folio is an embedded, ordered, transactional key-value store in one
// file.
//
// The file is mapped into memory and B+tree nodes are read straight from its
// pages, without a copy and without a lock. A write transaction works on copies of
// the pages it changes; a commit writes them to free places and makes them durable
// with one flush, so that a crash at any instant leaves the last commit.
//
//	db, err := folio.Open("my.folio", 0o600, nil)
//	...
//	defer db.Close()
//
//	err = db.Update(func(tx *folio.Tx) error {
//		b, err := tx.CreateBucketIfNotExists([]byte("greetings"))
//		if err != nil {
//			return err
//		}
//		return b.Put([]byte("hello"), []byte("world"))
//	})
//
//	err = db.View(func(tx *folio.Tx) error {
//		for k, v := range tx.Bucket([]byte("greetings")).Prefix([]byte("he")) {
//			fmt.Printf("%s: %s\n", k, v)
//		}
//		return nil
//	})
//
// # Slices
//
// Keys and values that folio returns are parts of the mapped file, or of the
// transaction's memory. They stay unchanged until the transaction ends, in a
// writable one too; they must not be modified, and must not be used afterwards. Copy
// what shall live longer, with bytes.Clone. Keys and values given to folio are copied.
//
// A store through a slice of the mapped file faults. In a writable transaction a slice
// can be part of a changed page in the heap instead: there a store faults nowhere and
// can silently change what is committed, of this key or of others. A database in memory
// has no mapped file, so a store through any slice goes unnoticed.
//
// # Concurrency
//
// Any number of read-only transactions run beside one writable transaction. Nobody
// waits for readers, and readers wait for nobody. A transaction, and all that
// belongs to it, is used by one goroutine at a time, a read-only one too: each goroutine
// can have its own, which costs little.
//
// # Processes
//
// On Linux other processes can open the file with [Options].ReadOnly while one writes
// it, and see each commit as its own readers do; with [ShareWriters] several can write,
// one transaction at a time. [DB.Processes] and [DB.Activity] tell who they are and what
// they do. While the file is shared there is a file beside it, which belongs to it: its
// path with "-lock" at the end.
//
// # Durability
//
// When Update or Commit returns nil, the changes survive a crash of the process,
// the system or the machine. Readers see them only then. What need not be that safe
// can say so, and does not wait for the device: see [Durability].
//
// # Damage
//
// Every page carries a checksum, which is verified when the page is first read. The
// bytes of values longer than 256 KiB are verified by [Tx.Check] and [Tx.Scrub], and at
// reads only if [Options].Verify says so; see [VerifyFirst].
// Damage, and faults of the disk, end View and Update with an error that wraps
// [ErrCorrupt] or [ErrFault] and names the page; see Tx.Err for transactions begun
// by hand. No content of a file makes folio panic, or read outside of the file; but nobody
// may overwrite it while it is open.
//
// What leaves the function given to View or Update early is a panic, which folio catches.
// A function that recovers from it finds nothing in its transaction any more: Bucket
// returns nil. In a transaction begun by hand faults are caught in folio's own calls only:
// to read a slice that it has returned, when the file was cut off meanwhile or the disk
// fails, ends the process, as it does in goroutines that View and Update know nothing of.
// Copy what must survive that.
package folio
