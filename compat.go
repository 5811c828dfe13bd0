package folio

// This file is responsible for what boltcompat keeps inside of folio's objects, so that
// its Buckets need no memory of their own: they are these Buckets by another name. The
// fields are exported because that is another module; they are embedded because they
// are nobody else's.

// compatBucket is what bbolt's Bucket has and folio's does not.
type compatBucket struct {
	// FillPercent has no effect: pages fill by themselves.
	FillPercent float64
}

// compatFillPercent is what bbolt's is at first.
const compatFillPercent = 0.5

// compatTx is how boltcompat finds its transaction from a Bucket.
type compatTx struct {
	Compat any
}
