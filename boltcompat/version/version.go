// Package version says which bbolt the API of this module is that of.
package version

// Version is the newest version of bbolt whose API this module has. It says nothing
// about the version of folio.
var Version = "1.5.0"
