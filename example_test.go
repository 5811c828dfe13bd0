package folio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/foliodb/folio"
)

// openExample opens a new database that is kept in memory.
func openExample() *folio.DB {
	db, err := folio.Open("example", 0o600, &folio.Options{InMemory: true})
	if err != nil {
		log.Fatal(err)
	}
	return db
}

// fruits returns a database with a bucket of fruits and their colours.
func fruits() *folio.DB {
	db := openExample()
	err := db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("fruits"))
		if err != nil {
			return err
		}
		for _, kv := range [][2]string{
			{"apple", "red"}, {"apricot", "orange"}, {"banana", "yellow"}, {"cherry", "red"}, {"plum", "blue"},
		} {
			if err := b.Put([]byte(kv[0]), []byte(kv[1])); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	return db
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "folio")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	db, err := folio.Open(filepath.Join(dir, "my.folio"), 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	fmt.Println("pages of", db.Info().PageSize, "bytes")
	// Output: pages of 4096 bytes
}

func ExampleDB_Update() {
	db := openExample()
	defer db.Close()
	err := db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("greetings"))
		if err != nil {
			return err
		}
		return b.Put([]byte("hello"), []byte("world"))
	})
	// When err is nil, the change survives a crash.
	fmt.Println(err)
	// Output: <nil>
}

func ExampleDB_View() {
	db := fruits()
	defer db.Close()
	var colour []byte
	err := db.View(func(tx *folio.Tx) error {
		v := tx.Bucket([]byte("fruits")).Get([]byte("plum"))
		colour = bytes.Clone(v) // v is not to be used after the transaction
		return nil
	})
	fmt.Printf("%s, %v\n", colour, err)
	// Output: blue, <nil>
}

func ExampleDB_Begin() {
	db := fruits()
	defer db.Close()
	tx, err := db.Begin(true)
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Rollback() // after a Commit it does nothing
	if err := tx.Bucket([]byte("fruits")).Put([]byte("kiwi"), []byte("green")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(tx.Commit())
	// Output: <nil>
}

func ExampleBucket_Prefix() {
	db := fruits()
	defer db.Close()
	_ = db.View(func(tx *folio.Tx) error {
		for k, v := range tx.Bucket([]byte("fruits")).Prefix([]byte("ap")) {
			fmt.Printf("%s is %s\n", k, v)
		}
		return nil
	})
	// Output:
	// apple is red
	// apricot is orange
}

func ExampleBucket_RangeBackward() {
	db := fruits()
	defer db.Close()
	_ = db.View(func(tx *folio.Tx) error {
		for k := range tx.Bucket([]byte("fruits")).RangeBackward([]byte("b"), []byte("p")) {
			fmt.Printf("%s\n", k)
		}
		return nil
	})
	// Output:
	// cherry
	// banana
}

// The tree is counted: positions and numbers cost no more than a lookup.
func ExampleBucket_At() {
	db := fruits()
	defer db.Close()
	_ = db.View(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("fruits"))
		median, _ := b.At(b.Len() / 2)
		fmt.Printf("%d fruits, the one in the middle is %s\n", b.Len(), median)
		fmt.Printf("%d begin with a, %d come before cherry\n",
			b.Count([]byte("a"), []byte("b")), b.Rank([]byte("cherry")))
		return nil
	})
	// Output:
	// 5 fruits, the one in the middle is banana
	// 2 begin with a, 3 come before cherry
}

func ExampleBucket_DeleteRange() {
	db := fruits()
	defer db.Close()
	_ = db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("fruits"))
		prefix := []byte("ap")
		n, err := b.DeleteRange(prefix, folio.PrefixEnd(prefix))
		fmt.Println(n, "removed,", b.Len(), "left")
		return err
	})
	// Output: 2 removed, 3 left
}

// An encoder can write a value where it will be.
func ExampleBucket_Reserve() {
	db := fruits()
	defer db.Close()
	_ = db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("fruits"))
		v, err := b.Reserve([]byte("fig"), 6)
		if err != nil {
			return err
		}
		copy(v, "purple")
		fmt.Printf("%s\n", b.Get([]byte("fig")))
		return nil
	})
	// Output: purple
}

// A cursor keeps its place when keys come and go.
func ExampleCursor() {
	db := fruits()
	defer db.Close()
	_ = db.Update(func(tx *folio.Tx) error {
		c := tx.Bucket([]byte("fruits")).Cursor()
		for k, v := c.Seek([]byte("apr")); k != nil; k, v = c.Next() {
			if string(v) == "red" {
				fmt.Printf("%s is removed\n", k)
				if err := c.Delete(); err != nil {
					return err
				}
				continue
			}
			fmt.Printf("%s\n", k)
		}
		return nil
	})
	// Output:
	// apricot
	// banana
	// cherry is removed
	// plum
}

func ExampleBucket_CreateBucket() {
	db := openExample()
	defer db.Close()
	_ = db.Update(func(tx *folio.Tx) error {
		users, err := tx.CreateBucket([]byte("users"))
		if err != nil {
			return err
		}
		id, err := users.NextSequence()
		if err != nil {
			return err
		}
		user, err := users.CreateBucket(fmt.Appendf(nil, "%06d", id))
		if err != nil {
			return err
		}
		return user.Put([]byte("name"), []byte("Ada"))
	})
	_ = db.View(func(tx *folio.Tx) error {
		for id, user := range tx.Bucket([]byte("users")).Buckets() {
			fmt.Printf("%s: %s\n", id, user.Get([]byte("name")))
		}
		return nil
	})
	// Output: 000001: Ada
}

// A backup of a database in use: the copy is what the transaction sees.
func ExampleTx_WriteTo() {
	db := fruits()
	defer db.Close()
	var backup bytes.Buffer
	err := db.View(func(tx *folio.Tx) error {
		_, err := tx.WriteTo(&backup)
		return err
	})
	fmt.Println(backup.Len() > 0, err)
	// Output: true <nil>
}

func ExampleTx_Check() {
	db := fruits()
	defer db.Close()
	err := db.View(func(tx *folio.Tx) error {
		for err := range tx.Check() {
			fmt.Println("damage:", err)
		}
		return nil
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExamplePrefixEnd() {
	fmt.Printf("%s %q\n", folio.PrefixEnd([]byte("user/")), folio.PrefixEnd([]byte{'a', 0xff}))
	// Output: user0 "b"
}

// An import keeps what could be read, and leaves out what could not.
func ExampleTx_Nested() {
	db := fruits()
	defer db.Close()
	errRotten := errors.New("rotten")
	err := db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("fruits"))
		for _, crate := range [][]string{{"fig", "grape"}, {"lemon", "rotten melon"}} {
			err := tx.Nested(func(*folio.Tx) error {
				for _, fruit := range crate {
					if fruit == "rotten melon" {
						return errRotten
					}
					if err := b.Put([]byte(fruit), nil); err != nil {
						return err
					}
				}
				return nil
			})
			fmt.Println(crate, err)
			if err != nil && err != errRotten {
				return err
			}
		}
		fmt.Println(b.Get([]byte("grape")) != nil, b.Get([]byte("lemon")) != nil)
		return nil
	})
	fmt.Println(err)
	// Output:
	// [fig grape] <nil>
	// [lemon rotten melon] rotten
	// true false
	// <nil>
}

// One transaction tries several ways from the same state.
func ExampleTx_Savepoint() {
	db := fruits()
	defer db.Close()
	err := db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("fruits"))
		sp, err := tx.Savepoint()
		if err != nil {
			return err
		}
		for _, prefix := range []string{"a", "ap", "app"} {
			n, err := b.DeleteRange([]byte(prefix), folio.PrefixEnd([]byte(prefix)))
			if err != nil {
				return err
			}
			fmt.Println(prefix, "would remove", n)
			if err := sp.Rollback(); err != nil {
				return err
			}
		}
		fmt.Println(b.Len(), "are left")
		return sp.Release()
	})
	fmt.Println(err)
	// Output:
	// a would remove 2
	// ap would remove 2
	// app would remove 1
	// 5 are left
	// <nil>
}

// What is easily made again need not wait for the disk. Sync makes it durable.
func ExampleTx_SetDurability() {
	db := fruits()
	defer db.Close()
	for i := range 3 {
		err := db.Update(func(tx *folio.Tx) error {
			if err := tx.SetDurability(folio.DurabilityNone); err != nil {
				return err
			}
			return tx.Bucket([]byte("fruits")).Put(fmt.Appendf(nil, "fruit %d", i), nil)
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	before := db.Stats().Flushes
	err := db.Sync()
	fmt.Println(db.Stats().Flushes-before > 0, err)
	// Output: true <nil>
}

// A request that has no time left does not wait for another writer.
func ExampleDB_UpdateContext() {
	db := fruits()
	defer db.Close()
	other, err := db.Begin(true)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err = db.UpdateContext(ctx, func(tx *folio.Tx) error {
		return tx.Bucket([]byte("fruits")).Put([]byte("kiwi"), []byte("green"))
	})
	fmt.Println(err)
	fmt.Println(other.Rollback())
	// Output:
	// context deadline exceeded
	// <nil>
}
