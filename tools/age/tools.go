//go:build tools

// Package age pins the program that tests/conformance/test_age.py runs age-plugin-dta under; see tools/tools.go.
package age

import _ "filippo.io/age/cmd/age"
