// Package bbolt has the API of go.etcd.io/bbolt on top of folio. Its module declares
// that path, so that a replace directive in a program's go.mod switches the program,
// and everything it imports, from bbolt to folio. No source line changes.
//
// What each name does is what bbolt's documentation says. README.md lists what has
// another meaning, or none, because folio works differently: most of bbolt's options
// are about things that folio does not have.
//
// DB.Folio, Tx.Folio and Bucket.Folio give access to what folio can do beyond bbolt,
// in the middle of a program that is otherwise written for bbolt.
package bbolt
