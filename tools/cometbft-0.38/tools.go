//go:build tools

// Package tools pins the CometBFT 0.38 that scripts/test.sh --compat runs; see tools/tools.go.
package tools

import _ "github.com/cometbft/cometbft/cmd/cometbft"
