package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/merkle"
	"github.com/cometbft/cometbft/types"
	ics23 "github.com/cosmos/ics23/go"
)

const (
	leafTag  = "JMT::LeafNode"
	innerTag = "JMT::IntrnalNode"
)

// The ics23 module has no constant for the Jellyfish Merkle Tree; these are the figures of docs/spec/state-tree.md.
var jmtSpec = &ics23.ProofSpec{
	LeafSpec: &ics23.LeafOp{
		Hash:         ics23.HashOp_SHA256,
		PrehashKey:   ics23.HashOp_SHA256,
		PrehashValue: ics23.HashOp_SHA256,
		Length:       ics23.LengthOp_NO_PREFIX,
		Prefix:       []byte(leafTag),
	},
	InnerSpec: &ics23.InnerSpec{
		Hash:            ics23.HashOp_SHA256,
		ChildOrder:      []int32{0, 1},
		MinPrefixLength: int32(len(innerTag)),
		MaxPrefixLength: int32(len(innerTag)),
		ChildSize:       hashBytes,
		EmptyChild:      []byte("SPARSE_MERKLE_PLACEHOLDER_HASH__"),
	},
	MaxDepth:                   64,
	PrehashKeyBeforeComparison: true,
}

type verifiedTx struct {
	hash   []byte
	height uint64
	code   int64
	parts  []part // none: its bytes are none of this ledger's
}

func verifyTxs(read *receipt) ([]verifiedTx, error) {
	var found []verifiedTx
	for index := range read.Blocks {
		one := &read.Blocks[index]
		var before []byte
		for _, tx := range one.Transactions {
			if index+1 == len(read.Blocks) || read.Blocks[index+1].Header.Height != one.Header.Height+1 {
				return nil, refuse("result", "blocks[%d]: the next header is missing", index)
			}
			if err := verifyIncluded(one.Header, read.Blocks[index+1].Header, tx); err != nil {
				return nil, err
			}
			position := positionOf(tx.Path)
			if before != nil && bytes.Compare(position, before) <= 0 {
				return nil, refuse("transaction", "blocks[%d]: not in the block's order", index)
			}
			before = position
			parts, err := partsOf(tx)
			if err != nil {
				return nil, err
			}
			found = append(found, verifiedTx{types.Tx(tx.Tx).Hash(), uint64(one.Header.Height), tx.Code, parts})
		}
	}
	return found, nil
}

// positionOf is the turns from the root down: they compare as the transactions of a block are ordered.
func positionOf(path []turn) []byte {
	position := []byte{}
	for level := len(path) - 1; level >= 0; level-- {
		position = append(position, path[level].Side[0]) // 'l' sorts before 'r'
	}
	return position
}

func verifyIncluded(head, next header, tx included) error {
	proof := merkle.Proof{Total: 1 << len(tx.Path)}
	results := merkle.Proof{Total: proof.Total}
	for level, step := range tx.Path {
		if step.Side == "right" {
			proof.Index |= 1 << level
		}
		proof.Aunts = append(proof.Aunts, step.Tx)
		results.Aunts = append(results.Aunts, step.Result)
	}
	results.Index = proof.Index
	data := types.TxProof{RootHash: []byte(head.DataHash), Data: types.Tx(tx.Tx), Proof: proof}
	data.Proof.LeafHash = merkle.HashFromByteSlices([][]byte{data.Leaf()})
	if err := data.Validate(head.DataHash); err != nil {
		return refuse("transaction", "%v", err)
	}
	result := types.NewResults([]*abci.ExecTxResult{
		{Code: uint32(tx.Code), Data: tx.Data, GasWanted: tx.GasWanted, GasUsed: tx.GasUsed},
	})
	encoded, err := result[0].Marshal()
	if err != nil {
		return refuse("result", "%v", err)
	}
	results.LeafHash = result.Hash() // of one result: the root is its leaf's hash
	if err := results.Verify(next.LastResultsHash, encoded); err != nil {
		return refuse("result", "%v", err)
	}
	return nil
}

func verifyStates(read *receipt) (map[string][]byte, error) {
	root := []byte(read.Blocks[len(read.Blocks)-1].Header.AppHash)
	found := map[string][]byte{}
	before := []byte{}
	for index, state := range read.States {
		if bytes.Compare(state.Key, before) <= 0 {
			return nil, refuse("state", "states[%d]: keys do not rise", index)
		}
		before = state.Key
		if reason := verifyLeaf(root, state); reason != "" {
			return nil, refuse("state", "states[%d]: %s", index, reason)
		}
		if state.Value != nil {
			found[string(state.Key)] = *state.Value
		} else {
			found[string(state.Key)] = nil
		}
	}
	return found, nil
}

// verifyLeaf is what the ics23 module says, and what it leaves open: canonical bytes, one proof and not a batch of
// them, which key is absent, the very tags of this tree, and turns that are those of the key's hash.
func verifyLeaf(root []byte, state leaf) (reason string) {
	defer func() {
		if recovered := recover(); recovered != nil {
			reason = fmt.Sprintf("the library panicked: %v", recovered)
		}
	}()
	var proof ics23.CommitmentProof
	if err := proof.Unmarshal(state.Proof); err != nil {
		return "not a proof"
	}
	if again, err := proof.Marshal(); err != nil || !bytes.Equal(again, state.Proof) {
		return "the proof is not canonical"
	}
	if state.Value != nil {
		if !ofThisTree(proof.GetExist()) {
			return "not a proof of existence in this tree"
		}
		if !ics23.VerifyMembership(jmtSpec, root, &proof, state.Key, *state.Value) {
			return "existence is not proved"
		}
		return ""
	}
	absent := proof.GetNonexist()
	if absent == nil || !bytes.Equal(absent.Key, state.Key) {
		return "not about this key's absence"
	}
	for _, neighbour := range []*ics23.ExistenceProof{absent.Left, absent.Right} {
		if neighbour != nil && !ofThisTree(neighbour) {
			return "a neighbour is not of this tree"
		}
	}
	if !ics23.VerifyNonMembership(jmtSpec, root, &proof, state.Key) {
		return "absence is not proved"
	}
	return ""
}

// ofThisTree: each inner node has its tag and two children, and the path turns as the bits of the key's hash do.
func ofThisTree(proof *ics23.ExistenceProof) bool {
	if proof == nil || proof.Leaf == nil || string(proof.Leaf.Prefix) != leafTag || len(proof.Path) > int(jmtSpec.MaxDepth) {
		return false
	}
	hash := sha256.Sum256(proof.Key)
	for level, step := range proof.Path {
		if !bytes.HasPrefix(step.Prefix, []byte(innerTag)) {
			return false
		}
		depth := len(proof.Path) - 1 - level
		right := hash[depth>>3]>>(7-depth&7)&1 == 1
		prefix, suffix := len(innerTag), hashBytes
		if right {
			prefix, suffix = prefix+hashBytes, 0
		}
		if len(step.Prefix) != prefix || len(step.Suffix) != suffix {
			return false
		}
	}
	return true
}
