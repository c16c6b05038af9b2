//go:build tools

// Package kubo pins the IPFS node that scripts/localnet.sh --ipfs kubo runs; see tools/tools.go.
package kubo

import _ "github.com/ipfs/kubo/cmd/ipfs"
