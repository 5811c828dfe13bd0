package pager

// UndoMeta writes b over meta page slot after a failure, although the pager is latched:
// nobody who looks at the page cache should take the commit that failed for a durable
// one. It does not sync, and what it returns is only good for a report.
func (p *Pager) UndoMeta(slot int, b []byte) error {
	off := int64(slot) * p.pageSize
	if p.metaMap.store(p.file, 2*p.pageSize, off, b) {
		return nil
	}
	return p.writeAt(b, off)
}
