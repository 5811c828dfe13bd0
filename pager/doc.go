// Package pager is the only code of folio that touches the database file: it
// maps it, makes it longer and shorter, writes pages, syncs. It knows bytes,
// page ids and sizes, and nothing of keys, trees or what a meta page says.
//
// Readers take a View, which is the mapping as it is now, and read pages from
// it without a lock. The writer makes room with EnsureSize, writes runs of pages
// and a meta page, and calls Sync. The rules are at the head of pager.go.
//
// The package is part of folio's inside. It carries no compatibility promise:
// anything here can change in any release.
package pager
