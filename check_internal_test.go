package folio

import "testing"

func TestPagesFrom(t *testing.T) {
	for n, want := range map[uint64]string{1: "it is", 2: "2 pages from there on are"} {
		if got := pagesFrom(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
