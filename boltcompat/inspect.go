package bbolt

// BucketStructure is a bucket and the buckets in it.
type BucketStructure struct {
	Name     string            `json:"name"`
	KeyN     int               `json:"keyN"` // keys that are no buckets
	Children []BucketStructure `json:"buckets,omitempty"`
}

// Inspect returns the structure of the database. Its name is root.
func (tx *Tx) Inspect() BucketStructure { return tx.root().Inspect() }

// Inspect returns the structure of the bucket. Its name is root.
func (b *Bucket) Inspect() BucketStructure { return b.inspect("root") }

func (b *Bucket) inspect(name string) BucketStructure {
	s := BucketStructure{Name: name}
	for name, in := range b.Folio().Buckets() {
		s.Children = append(s.Children, (*Bucket)(in).inspect(string(name)))
	}
	s.KeyN = int(b.Folio().Len()) - len(s.Children)
	return s
}
