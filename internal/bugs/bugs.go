// Package bugs names the bugs that can be planted in folio, to see that its tests
// notice them. In a normal build On is the constant false, and nothing of it is left
// in the code. In one with the tag "foliobugs" a test chooses the bug that is on.
package bugs

// Bug is a deliberate mistake. Its place in the code says what it does.
type Bug int32

// The bugs. A new one goes to the end.
const (
	None              Bug = iota
	CommitUnsynced        // a commit does not flush
	PublishFirst          // readers see a commit before its flush
	ReuseAtOnce           // a commit writes over pages of the state that it replaces
	ReuseDurable          // pages are reused that only the durable state needs
	ReuseRead             // pages are reused that only a reader needs
	RecordShort           // the commit record leaves a page out
	RecordUnchecked       // recovery does not look at the pages of the record
	WeakUnchecked         // recovery does not look at the trees of a weak meta
	SinceHead             // a weak meta names a state that is not durable
	WrongSlot             // a commit overwrites the durable meta
	TakenUnnoted          // the free space in the file still has what a commit took
	FreedUnnoted          // the free space in the file lacks what a commit freed
	NoFirstFlush          // a commit of two flushes takes only the last
	SpillOneFlush         // a spilled one too
	LengthUnchecked       // recovery does not look at the length of the file
	SyncUnlatched         // after a failed sync the next one is believed
	MetaNotPutBack        // after a failed sync the new meta stays
	SpillKept             // a rollback does not give spilled pages back
	RecordOnlyOwn         // the record leaves out what relaxed commits before it wrote
	NumberReused          // transaction numbers go on as if no attempt had been cut off
	CleanUnsynced         // a clean meta is built upon as it is in the cache
	CacheTrusted          // after an unclean end the cache is believed
	CreateUnsynced        // a new file gets its name before its content is durable
	DirUnsynced           // the name of a new file is not made durable
	ShrinkTooFar          // the file is cut behind the next state, not the durable one
	CleanNotRewritten     // a clean meta is flushed, but not written again
	CacheNotDropped       // recovery flushes, and believes the cache then
	RecordNotDropped      // recovery drops the metas, not the pages of the record
	DropNarrow            // what is dropped is not all that the cache keeps together
	SpoiltBelieved        // a clean meta is believed although a commit failed after it
	MarksKept             // after a failed sync pages count as verified that were before
	ForeignIgnored        // a writer ignores readers in other processes
	HoldLeftOut           // who takes over does not know what readers still need
	RingUnread            // what others have written counts as verified
	AnnounceFirst         // other processes see a commit before its flush
	ReloadLeftOut         // a turn begins with the state of the last one here
	SettledUnflushed      // a turn ends in order without a flush
	TurnUnmarked          // nobody can tell that a turn was not ended
	LookedOnce            // a reader does not look again once it has a slot
	LiveFirst             // a writer looks at the readers before it looks at what is published
	MarksFirst            // a pager forgets what was verified before it has latched, not after
	LatchedUnsynced       // after a failed write no sync is made, and the meta is spoilt
	PutBackBelieved       // a meta whose write has failed is put back in the cache only
	TornFlushed           // a meta that is torn, and cannot be put back, is flushed as if it were whole
	EarlyUnwaited         // the meta is written before the leaves that were to be written first
	End                   // behind the last
)

var names = [End]string{
	"None", "CommitUnsynced", "PublishFirst", "ReuseAtOnce", "ReuseDurable", "ReuseRead", "RecordShort",
	"RecordUnchecked", "WeakUnchecked", "SinceHead", "WrongSlot", "TakenUnnoted", "FreedUnnoted",
	"NoFirstFlush", "SpillOneFlush", "LengthUnchecked", "SyncUnlatched", "MetaNotPutBack", "SpillKept",
	"RecordOnlyOwn", "NumberReused", "CleanUnsynced", "CacheTrusted", "CreateUnsynced", "DirUnsynced",
	"ShrinkTooFar", "CleanNotRewritten", "CacheNotDropped", "RecordNotDropped", "DropNarrow",
	"SpoiltBelieved", "MarksKept", "ForeignIgnored", "HoldLeftOut", "RingUnread", "AnnounceFirst", "ReloadLeftOut",
	"SettledUnflushed", "TurnUnmarked", "LookedOnce", "LiveFirst", "MarksFirst",
	"LatchedUnsynced", "PutBackBelieved", "TornFlushed", "EarlyUnwaited",
}

func (b Bug) String() string { return names[b] }
