//go:build tools

// Package tools pins the programs that the scripts build. The blank import makes `go mod tidy` keep the
// module and its checksums; the build tag keeps the package itself from ever being compiled.
package tools

import _ "github.com/cometbft/cometbft/cmd/cometbft"
