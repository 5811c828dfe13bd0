package work

// This file is responsible for what a worker is told, as arguments.

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/foliodb/folio"
)

// Config is what a worker does.
type Config struct {
	Path string
	Seed uint64
	Shape

	Durability string // full, relaxed, none or mixed
	Writers    int
	Readers    int
	PageSize   int
	TwoFlushes bool
	MaxDirty   int64
	Interval   time.Duration // of the flushes after relaxed commits

	Txs    int // transactions after which the worker is done; 0: never
	Reopen int // transactions after which it closes and opens the database; 0: never

	Tolerate  bool   // open again after an error
	Once      bool   // but end then, if there was one
	FileLimit bool   // limit the length of files now and then
	MemLimit  int64  // bytes of address space; 0: no limit
	Ballast   string // file that fills the disk now and then
	Heartbeat bool   // tell how long the worker stands still; readers wait for a byte on stdin
	Reading   bool   // open for reading, and only read

	Lie string // what the worker does wrong: durability, early or half
}

// Wrong ways of a worker, which a crash test must find.
const (
	LieDurability = "durability" // full commits are made with DurabilityNone
	LieEarly      = "early"      // transactions are reported before they are committed
	LieHalf       = "half"       // now and then a transaction is not whole
)

func (c *Config) flags() *flag.FlagSet {
	f := flag.NewFlagSet("worker", flag.ContinueOnError)
	f.StringVar(&c.Path, "path", "", "")
	f.Uint64Var(&c.Seed, "seed", 1, "")
	f.IntVar(&c.Large, "large", DefaultShape.Large, "")
	f.IntVar(&c.Huge, "huge", DefaultShape.Huge, "")
	f.IntVar(&c.Bulk, "bulk", DefaultShape.Bulk, "")
	f.StringVar(&c.Durability, "durability", "full", "")
	f.IntVar(&c.Writers, "writers", 1, "")
	f.IntVar(&c.Readers, "readers", 0, "")
	f.IntVar(&c.PageSize, "page-size", 0, "")
	f.BoolVar(&c.TwoFlushes, "two-flushes", false, "")
	f.Int64Var(&c.MaxDirty, "max-dirty", 0, "")
	f.DurationVar(&c.Interval, "interval", 0, "")
	f.IntVar(&c.Txs, "txs", 0, "")
	f.IntVar(&c.Reopen, "reopen", 0, "")
	f.BoolVar(&c.Tolerate, "tolerate", false, "")
	f.BoolVar(&c.Once, "once", false, "")
	f.BoolVar(&c.FileLimit, "file-limit", false, "")
	f.Int64Var(&c.MemLimit, "mem-limit", 0, "")
	f.StringVar(&c.Ballast, "ballast", "", "")
	f.BoolVar(&c.Heartbeat, "heartbeat", false, "")
	f.BoolVar(&c.Reading, "reading", false, "")
	f.StringVar(&c.Lie, "lie", "", "")
	return f
}

// Args returns the arguments for a worker with c.
func (c Config) Args() []string {
	var args []string
	c.flagsOf().VisitAll(func(f *flag.Flag) {
		args = append(args, fmt.Sprintf("-%s=%s", f.Name, f.Value))
	})
	return args
}

// flagsOf returns flags that have the values of c.
func (c Config) flagsOf() *flag.FlagSet {
	var copied Config
	f := copied.flags()
	copied = c
	return f
}

func parseConfig(args []string, errs io.Writer) (Config, error) {
	var c Config
	f := c.flags()
	f.SetOutput(errs)
	return c, f.Parse(args)
}

// RandomConfig returns a worker that does things as rnd says.
func RandomConfig(rnd *rand.Rand) Config {
	c := Config{
		Seed:       rnd.Uint64(),
		Shape:      DefaultShape,
		Durability: []string{"full", "mixed", "mixed", "relaxed", "none"}[rnd.IntN(5)],
		Writers:    []int{1, 2, 4, 8}[rnd.IntN(4)],
		Readers:    rnd.IntN(3),
		PageSize:   []int{4096, 4096, 4096, 8192, 16384}[rnd.IntN(5)],
		TwoFlushes: rnd.IntN(6) == 0,
		MaxDirty:   []int64{64 << 10, 128 << 10, 1 << 20, 0}[rnd.IntN(4)],
		Interval:   []time.Duration{2, 10, 50}[rnd.IntN(3)] * time.Millisecond,
	}
	if rnd.IntN(2) == 0 {
		c.Reopen = 5 + rnd.IntN(40)
	}
	if rnd.IntN(2) == 0 {
		c.Huge = 0
	}
	return c
}

func (c *Config) options() *folio.Options {
	return &folio.Options{
		ReadOnly: c.Reading, PageSize: c.PageSize, TwoFlushes: c.TwoFlushes, MaxDirty: c.MaxDirty,
		FlushInterval: c.Interval, Timeout: 20 * time.Second,
	}
}

// durabilityOf returns the durability of a transaction.
func (c *Config) durabilityOf(rnd *rand.Rand) folio.Durability {
	switch c.Durability {
	case "relaxed":
		return folio.DurabilityRelaxed
	case "none":
		return folio.DurabilityNone
	case "mixed":
		return []folio.Durability{folio.DurabilityFull, folio.DurabilityRelaxed, folio.DurabilityNone}[rnd.IntN(3)]
	}
	return folio.DurabilityFull
}
