// Command ics23check asks the reference ICS23 library about proofs of this ledger's tree.
//
// It reads one JSON object a line, {"root","key","value","proof"} in hex (value null: a proof of absence), and prints
// one line for each: "ok", or "refused: why". Beside the library's verdict it requires what the library leaves
// open: that the proof's bytes are canonical, and that a proof of absence names the key that was asked about.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	ics23 "github.com/cosmos/ics23/go"
)

// The module has no constant for the Jellyfish Merkle Tree; these are the figures of the published spec.
var jmtSpec = &ics23.ProofSpec{
	LeafSpec: &ics23.LeafOp{
		Hash:         ics23.HashOp_SHA256,
		PrehashKey:   ics23.HashOp_SHA256,
		PrehashValue: ics23.HashOp_SHA256,
		Length:       ics23.LengthOp_NO_PREFIX,
		Prefix:       []byte("JMT::LeafNode"),
	},
	InnerSpec: &ics23.InnerSpec{
		Hash:            ics23.HashOp_SHA256,
		ChildOrder:      []int32{0, 1},
		MinPrefixLength: 16,
		MaxPrefixLength: 16,
		ChildSize:       32,
		EmptyChild:      []byte("SPARSE_MERKLE_PLACEHOLDER_HASH__"),
	},
	MinDepth:                   0,
	MaxDepth:                   64,
	PrehashKeyBeforeComparison: true,
}

type question struct {
	Root  string  `json:"root"`
	Key   string  `json:"key"`
	Value *string `json:"value"`
	Proof string  `json:"proof"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		if reason := check(lines.Bytes()); reason != "" {
			fmt.Fprintln(out, "refused: "+reason)
		} else {
			fmt.Fprintln(out, "ok")
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// check returns why the proof is refused, or "" when it holds. The library panics on some malformed paths.
func check(line []byte) (reason string) {
	defer func() {
		if recovered := recover(); recovered != nil {
			reason = fmt.Sprint("the library panicked: ", recovered)
		}
	}()
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return "not a question: " + err.Error()
	}
	root, err1 := hex.DecodeString(asked.Root)
	key, err2 := hex.DecodeString(asked.Key)
	encoded, err3 := hex.DecodeString(asked.Proof)
	if err1 != nil || err2 != nil || err3 != nil {
		return "not hex"
	}
	var proof ics23.CommitmentProof
	if err := proof.Unmarshal(encoded); err != nil {
		return "not a proof: " + err.Error()
	}
	if again, err := proof.Marshal(); err != nil || !bytes.Equal(again, encoded) {
		return "not canonical"
	}
	if asked.Value == nil {
		if absent := proof.GetNonexist(); absent == nil || !bytes.Equal(absent.Key, key) {
			return "not about this key's absence"
		}
		if !ics23.VerifyNonMembership(jmtSpec, root, &proof, key) {
			return "absence not proved"
		}
		return ""
	}
	value, err := hex.DecodeString(*asked.Value)
	if err != nil {
		return "not hex"
	}
	if !ics23.VerifyMembership(jmtSpec, root, &proof, key, value) {
		return "existence not proved"
	}
	return ""
}
