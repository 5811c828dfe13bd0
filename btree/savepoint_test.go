package btree_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// keeping is a Store that keeps the dirty pages of earlier times as they are: touched
// again, they are copied.
type keeping struct {
	heap
	birth map[page.ID]int
	now   int
}

func (k *keeping) Allocate() (page.ID, page.Page) {
	id, p := k.heap.Allocate()
	k.birth[id] = k.now
	return id, p
}

func (k *keeping) Touch(id page.ID, _ page.TxID) (page.ID, page.Page, error) {
	if k.birth[id] == k.now {
		return id, k.pages[id], nil
	}
	to, p := k.Allocate()
	copy(p, k.pages[id])
	return to, p, nil
}

func (k *keeping) Replace(id page.ID, p page.Page) {
	expect(k.birth[id] == k.now, "page %d is of an earlier time", id)
	k.heap.Replace(id, p)
}

// TestForget holds that after Forget nothing is written that the Store has not given
// out again: a copy of the tree from before stays what it was, and the transaction can
// go back to it.
func TestForget(t *testing.T) {
	for seed := range uint64(20) {
		k := &keeping{heap: heap{pages: make([][]byte, page.FirstID)}, birth: map[page.ID]int{}}
		w := btree.NewWriter(k)
		var tree btree.Tree
		tree.InitWritable(w, btree.Header{}, nil)
		model := map[string]string{}
		rnd := rand.New(rand.NewPCG(seed, 0))
		for range 60 {
			saved, was := tree, maps.Clone(model)
			w.Forget()
			k.now++
			for range rnd.IntN(1 << rnd.IntN(9)) {
				change(rnd, &tree, model)
			}
			sameContent(t, &saved, was)
			if rnd.IntN(4) == 0 {
				tree, model = saved, was
				w.Forget()
				k.now++
			}
			sameContent(t, &tree, model)
		}
	}
}

// change puts a key, or deletes some.
func change(rnd *rand.Rand, tree *btree.Tree, model map[string]string) {
	key := fmt.Sprintf("key%06d", rnd.IntN(4000))
	switch rnd.IntN(8) {
	default:
		value := bytes.Repeat([]byte{byte(rnd.Int())}, rnd.IntN(200))
		check(tree.Put([]byte(key), value))
		model[key] = string(value)
	case 0, 1:
		_, err := tree.Delete([]byte(key), 0)
		check(err)
		delete(model, key)
	case 2:
		hi := fmt.Sprintf("key%06d", rnd.IntN(4000))
		if rnd.IntN(10) > 0 {
			hi = key + "~"
		}
		_, err := tree.DeleteRange([]byte(key), []byte(hi))
		check(err)
		maps.DeleteFunc(model, func(k, _ string) bool { return key <= k && k < hi })
	}
}

func sameContent(t *testing.T, tree *btree.Tree, model map[string]string) {
	t.Helper()
	if tree.Len() != uint64(len(model)) {
		t.Fatalf("%d keys, want %d", tree.Len(), len(model))
	}
	for key, want := range model {
		got, _, err := tree.Get([]byte(key))
		if err != nil || got == nil || string(got) != want {
			t.Fatalf("%q is %q (%v), want %q", key, got, err, want)
		}
	}
}
