package folio

import (
	"context"
	"testing"
	"time"
)

// waitFirst calls lockFirst in a goroutine and returns when it waits.
func waitFirst(l *writerLock, unneeded <-chan signal) <-chan bool {
	l.mu.Lock()
	before := l.first
	l.mu.Unlock()
	got := make(chan bool, 1)
	go func() { got <- l.lockFirst(unneeded) }()
	for {
		l.mu.Lock()
		waits := l.first != nil && l.first != before
		l.mu.Unlock()
		if waits {
			return got
		}
		time.Sleep(time.Millisecond)
	}
}

// soon returns what comes from c, or ends the test.
func soon(t *testing.T, what string, c <-chan bool) bool {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("%s waits for ever", what)
		return false
	}
}

// TestWriterLockReplaced: the leader of a group that another has written may notice
// that when the leader of the next group waits already. A soak of a service found that
// it then waited for ever, its transaction long durable.
func TestWriterLockReplaced(t *testing.T) {
	var l writerLock
	if !l.tryLock() {
		t.Fatal("a free lock cannot be had")
	}
	first, second := make(chan signal, 2), make(chan signal, 2)
	a := waitFirst(&l, first)
	b := waitFirst(&l, second)
	first <- done
	if soon(t, "the first", a) {
		t.Error("the first has got the lock")
	}
	l.unlock()
	if !soon(t, "the second", b) {
		t.Error("the second has not got the lock")
	}
	if l.tryLock() {
		t.Error("two have the lock")
	}
	l.unlock()
	if !l.tryLock() {
		t.Error("the lock is not free again")
	}
}

// TestWriterLockUnneeded: whether it is told so before or while the lock is handed to
// it, who does not need it any more passes it on.
func TestWriterLockUnneeded(t *testing.T) {
	for range 200 {
		var l writerLock
		if !l.tryLock() {
			t.Fatal("a free lock cannot be had")
		}
		unneeded := make(chan signal, 2)
		got := waitFirst(&l, unneeded)
		next := make(chan bool, 1)
		go func() { next <- l.lock(context.Background()) == nil }()
		go func() { unneeded <- done }()
		l.unlock()
		if soon(t, "the first", got) {
			l.unlock()
		}
		if !soon(t, "the next in the queue", next) {
			t.Fatal("the next has not got the lock")
		}
		l.unlock()
		if !l.tryLock() {
			t.Fatal("the lock is not free again")
		}
	}
}
