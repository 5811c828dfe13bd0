package meta

import (
	"fmt"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for what a meta cannot say. The same checks serve the
// reader and the writer: a damaged tree can make a counter impossible, and that
// must not reach the file.

// Check returns an error that wraps page.ErrCorrupt if Decode would refuse what m
// says. Whoever writes a meta calls it before [Encode]. It may sort the record.
func (m *Meta) Check() error {
	sortRecord(m.Record)
	detail := m.checkFields()
	if detail == "" {
		detail = m.checkRecord()
	}
	if detail == "" {
		return nil
	}
	return fmt.Errorf("%w: meta: %s", page.ErrCorrupt, detail)
}

// checkFields says what is impossible about the fixed fields, or returns "".
func (m *Meta) checkFields() string {
	root, fl := &m.Root, &m.Freelist
	inFile := func(id page.ID) bool { return id >= page.FirstID && id < m.HighWater }
	switch {
	case m.PageSize < page.MinSize || m.PageSize > page.MaxSize || m.PageSize&(m.PageSize-1) != 0:
		return fmt.Sprintf("page size %d", m.PageSize)
	case m.TxID > MaxTxID:
		return fmt.Sprintf("transaction %d", m.TxID)
	case m.HighWater < page.FirstID || m.HighWater > page.MaxID:
		return fmt.Sprintf("high-water mark %d", m.HighWater)
	case root.ID != 0 && !inFile(root.ID):
		return fmt.Sprintf("root page %d, but the file ends at page %d", root.ID, m.HighWater)
	case root.Birth > m.TxID:
		return fmt.Sprintf("root of transaction %d, but the newest is %d", root.Birth, m.TxID)
	case root.ID == 0 && root.Count != 0:
		return fmt.Sprintf("%d keys in an empty tree", root.Count)
	case root.Count > uint64(m.HighWater)*uint64(m.PageSize): // at most 2^62
		return fmt.Sprintf("%d keys in %d pages", root.Count, m.HighWater)
	case fl.Head != 0 && !inFile(fl.Head):
		return fmt.Sprintf("freelist page %d, but the file ends at page %d", fl.Head, m.HighWater)
	case fl.HeadBirth > m.TxID:
		return fmt.Sprintf("freelist of transaction %d, but the newest is %d", fl.HeadBirth, m.TxID)
	case (fl.Head == 0) != (fl.HeadPages == 0),
		fl.Head != 0 && uint64(fl.HeadPages) > uint64(m.HighWater-fl.Head):
		return fmt.Sprintf("freelist of %d pages at page %d", fl.HeadPages, fl.Head)
	case fl.FreePages > uint64(m.HighWater-page.FirstID):
		return fmt.Sprintf("%d free pages of %d", fl.FreePages, m.HighWater)
	}
	return ""
}

// checkRecord says what is impossible about the record, which is sorted, or returns
// "".
func (m *Meta) checkRecord() string {
	switch {
	case m.Synced && len(m.Record) > 0:
		return "a commit record in a synced meta"
	case m.Weak && (m.Synced || m.Clean || len(m.Record) > 0):
		return "a weak meta that is also synced, clean or has a commit record"
	case m.Since > m.TxID || !m.Weak && m.Since != 0:
		return fmt.Sprintf("written since transaction %d", m.Since)
	}
	for i, u := range m.Record {
		if u.ID < page.FirstID || u.ID >= m.HighWater || i > 0 && m.Record[i-1].ID >= u.ID {
			return fmt.Sprintf("page %d in the commit record", u.ID)
		}
	}
	return ""
}
