package sidecar_test
func stormChild() {}
