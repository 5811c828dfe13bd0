// Package work is what the crash tests let a database do, and how they tell whether
// it has survived: a worker process that commits until it is killed, and a check of
// what it has left.
//
// The n-th transaction in the order of the writer lock is a pure function of a seed
// and n (Transaction), and it keeps n in the database. So the state after n
// transactions is one as well, and a check needs no more than n and a digest of
// everything in the file: any lost, repeated, torn or mixed transaction changes it.
package work
