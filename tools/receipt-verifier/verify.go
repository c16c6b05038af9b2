package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/crypto/merkle"
	cmtmath "github.com/cometbft/cometbft/libs/math"
	"github.com/cometbft/cometbft/light"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
	blockversion "github.com/cometbft/cometbft/version"
	ics23 "github.com/cosmos/ics23/go"
)

const maxClockDriftS = 60

// No header is believed on less than two thirds of a set that was believed before it.
var trustLevel = cmtmath.Fraction{Numerator: 2, Denominator: 3}

// The ics23 module has no constant for the Jellyfish Merkle Tree; these are the figures of docs/spec/state-tree.md.
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
	MaxDepth:                   64,
	PrehashKeyBeforeComparison: true,
}

// refusal is why a receipt is not believed; step names the check as docs/spec/receipt.md does.
type refusal struct{ step, reason string }

func (r *refusal) Error() string { return r.step + ": " + r.reason }

func refuse(step, format string, arguments ...any) error {
	return &refusal{step, fmt.Sprintf(format, arguments...)}
}

// trustFile is what the verifier takes on faith.
type trustFile struct {
	ChainID    string `json:"chain_id"`
	Gid        string `json:"gid"`
	Height     int64  `json:"height"`
	HeaderHash string `json:"header_hash"`
	Validators []struct {
		PublicKey string `json:"public_key"`
		Power     int64  `json:"power"`
	} `json:"validators"`
	TrustedAt    time.Time `json:"trusted_at"`
	TrustPeriodS int64     `json:"trust_period_s"`
}

// belief is what is believed at one height. header is nil at genesis, and where the trust file only names its hash.
type belief struct {
	chainID            string
	height             int64
	headerHash         []byte
	signed             *types.SignedHeader
	validators         *types.ValidatorSet
	nextValidatorsHash []byte
}

func (file *trustFile) belief() (*belief, error) {
	hash, err := hex.DecodeString(file.HeaderHash)
	if err != nil || len(file.Validators) == 0 {
		return nil, fmt.Errorf("not a trust file")
	}
	var members []*types.Validator
	for _, named := range file.Validators {
		key, err := base64.StdEncoding.DecodeString(named.PublicKey)
		if err != nil || len(key) != ed25519.PubKeySize {
			return nil, fmt.Errorf("not a trust file: a public key")
		}
		members = append(members, types.NewValidator(ed25519.PubKey(key), named.Power))
	}
	set := types.NewValidatorSet(members)
	found := &belief{chainID: file.ChainID, height: file.Height, headerHash: hash, validators: set}
	if len(hash) == 0 {
		found.nextValidatorsHash = set.Hash()
	}
	return found, nil
}

type verifiedTx struct {
	hash   []byte
	height int64
	code   int64
	tx     []byte
}

// verify checks a receipt; what it returns is what the receipt proves.
func verify(content []byte, trust *trustFile, now time.Time) (read *receipt, warnings []string, err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			err = refuse("format", "a library panicked: %v", recovered)
		}
	}()
	if read, err = decodeReceipt(content); err != nil {
		return nil, nil, err
	}
	if read.ChainID != trust.ChainID {
		return nil, nil, refuse("chain", "it is of the chain %s", read.ChainID)
	}
	if hex.EncodeToString(read.Gid) != trust.Gid {
		return nil, nil, refuse("gid", "it is of another genesis")
	}
	if err = verifyPath(read, trust, now); err != nil {
		return nil, nil, err
	}
	txs, err := verifyTxs(read)
	if err != nil {
		return nil, nil, err
	}
	states, err := verifyStates(read)
	if err != nil {
		return nil, nil, err
	}
	if err = verifyContent(read, txs, states); err != nil {
		return nil, nil, err
	}
	if until := trust.TrustedAt.Add(time.Duration(trust.TrustPeriodS) * time.Second); now.After(until) {
		warnings = append(warnings, "the trust file is past its trust period")
	}
	return read, warnings, nil
}

func verifyPath(read *receipt, trust *trustFile, now time.Time) error {
	state, err := trust.belief()
	if err != nil {
		return err
	}
	first := read.Blocks[0].Header.Height
	if first < state.height || (first == state.height && len(state.headerHash) == 0) {
		return refuse("trust", "it begins at height %d, before the trust file's", first)
	}
	held := state.validators
	for index := range read.Blocks {
		one := &read.Blocks[index]
		if same := bytes.Equal(held.Hash(), one.Header.ValidatorsHash); same != (one.Validators == nil) {
			return refuse("validators", "blocks[%d]: the set stands there without need, or is missing", index)
		}
		if one.Validators != nil {
			if held, err = setOf(one.Validators); err != nil {
				return err
			}
		}
		signed, err := signedHeader(one, held)
		if err != nil {
			return err
		}
		if signed.Header.Time.Unix() > now.Unix()+maxClockDriftS {
			return refuse("time", "blocks[%d] is from the future", index)
		}
		if state, err = state.step(signed, held, now); err != nil {
			return fmt.Errorf("blocks[%d]: %w", index, err)
		}
	}
	return nil
}

func setOf(named []validator) (*types.ValidatorSet, error) {
	set := &types.ValidatorSet{}
	seen := map[string]bool{}
	for _, one := range named {
		if one.Power <= 0 || seen[string(one.PublicKey)] {
			return nil, refuse("validators", "a validator stands there twice, or has no power")
		}
		seen[string(one.PublicKey)] = true
		set.Validators = append(set.Validators, types.NewValidator(ed25519.PubKey(one.PublicKey), one.Power))
	}
	return set, nil
}

func signedHeader(one *block, set *types.ValidatorSet) (*types.SignedHeader, error) {
	head := one.Header
	made := &types.Header{
		Version:            cmtversion.Consensus{Block: uint64(head.Version.Block), App: uint64(head.Version.App)},
		ChainID:            head.ChainID,
		Height:             head.Height,
		Time:               head.Time.Time,
		LastBlockID:        head.LastBlockID.id(),
		LastCommitHash:     []byte(head.LastCommitHash),
		DataHash:           []byte(head.DataHash),
		ValidatorsHash:     []byte(head.ValidatorsHash),
		NextValidatorsHash: []byte(head.NextValidatorsHash),
		ConsensusHash:      []byte(head.ConsensusHash),
		AppHash:            []byte(head.AppHash),
		LastResultsHash:    []byte(head.LastResultsHash),
		EvidenceHash:       []byte(head.EvidenceHash),
		ProposerAddress:    []byte(head.ProposerAddress),
	}
	if len(one.Commit.Votes) != set.Size() {
		return nil, refuse("commit", "not one entry for each validator")
	}
	signatures := make([]types.CommitSig, set.Size())
	for index, cast := range one.Commit.Votes {
		if cast == nil {
			signatures[index] = types.NewCommitSigAbsent()
			continue
		}
		flag := types.BlockIDFlagCommit
		if cast.For == "nil" {
			flag = types.BlockIDFlagNil
		}
		signatures[index] = types.CommitSig{
			BlockIDFlag:      flag,
			ValidatorAddress: set.Validators[index].Address,
			Timestamp:        cast.Time.Time,
			Signature:        cast.Signature,
		}
	}
	of := blockID{Hash: hexText(made.Hash()), Parts: one.Commit.Parts}
	if one.Commit.Round > math.MaxInt32 || one.Commit.Parts.Total > math.MaxInt32 {
		return nil, refuse("format", "a number is too large")
	}
	given := &types.Commit{Height: made.Height, Round: int32(one.Commit.Round), BlockID: of.id(), Signatures: signatures}
	return &types.SignedHeader{Header: made, Commit: given}, nil
}

func (id blockID) id() types.BlockID {
	return types.BlockID{
		Hash:          []byte(id.Hash),
		PartSetHeader: types.PartSetHeader{Total: uint32(id.Parts.Total), Hash: []byte(id.Parts.Hash)},
	}
}

// step moves belief to one later header. Where a header is believed already, CometBFT's light client decides, with a
// trust level of 2/3 and no period (that is a warning); beside it every signature is checked, for nil too.
func (state *belief) step(signed *types.SignedHeader, set *types.ValidatorSet, now time.Time) (*belief, error) {
	head := signed.Header
	if head.ChainID != state.chainID || head.Version.Block != blockversion.BlockProtocol {
		return nil, refuse("header", "another chain or block protocol")
	}
	if !bytes.Equal(set.Hash(), head.ValidatorsHash) {
		return nil, refuse("validators", "the set is not the header's")
	}
	if err := set.VerifyCommit(state.chainID, signed.Commit.BlockID, head.Height, signed.Commit); err != nil {
		return nil, refuse("commit", "%v", err)
	}
	next := &belief{
		chainID: state.chainID, height: head.Height, headerHash: head.Hash(), signed: signed, validators: set,
		nextValidatorsHash: head.NextValidatorsHash,
	}
	if state.signed == nil && head.Height == state.height {
		if !bytes.Equal(head.Hash(), state.headerHash) {
			return nil, refuse("trust", "another header than the trust file's")
		}
		return next, nil
	}
	if head.Height <= state.height {
		return nil, refuse("trust", "heights do not rise")
	}
	if err := state.believe(signed, set, now); err != nil {
		return nil, err
	}
	return next, nil
}

func (state *belief) believe(signed *types.SignedHeader, set *types.ValidatorSet, now time.Time) error {
	adjacent := signed.Height == state.height+1 && len(state.nextValidatorsHash) > 0
	if adjacent && len(state.headerHash) > 0 && !bytes.Equal(signed.LastBlockID.Hash, state.headerHash) {
		return refuse("trust", "it follows another block")
	}
	if state.signed != nil {
		const drift = (maxClockDriftS + 2) * time.Second
		err := light.Verify(
			state.signed, state.validators, signed, set, time.Duration(math.MaxInt64), now, drift, trustLevel,
		)
		if err != nil {
			return refuse("trust", "%v", err)
		}
		return nil
	}
	// From genesis, or from a header of which only the hash is known, there is nothing for the light client to begin at.
	if adjacent {
		if !bytes.Equal(signed.ValidatorsHash, state.nextValidatorsHash) {
			return refuse("trust", "the first block's validators are not those of genesis")
		}
		return nil
	}
	if err := state.validators.VerifyCommitLightTrusting(state.chainID, signed.Commit, trustLevel); err != nil {
		return refuse("trust", "%v", err)
	}
	return nil
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
			found = append(found, verifiedTx{types.Tx(tx.Tx).Hash(), one.Header.Height, tx.Code, tx.Tx})
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
	if tx.Code > math.MaxInt32 {
		return refuse("format", "a code is too large")
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

// verifyLeaf is what the ics23 module says, and what it leaves open: canonical bytes, and which key is absent.
func verifyLeaf(root []byte, state leaf) string {
	var proof ics23.CommitmentProof
	if err := proof.Unmarshal(state.Proof); err != nil {
		return "not a proof"
	}
	if again, err := proof.Marshal(); err != nil || !bytes.Equal(again, state.Proof) {
		return "the proof is not canonical"
	}
	if state.Value != nil {
		if !ics23.VerifyMembership(jmtSpec, root, &proof, state.Key, *state.Value) {
			return "existence is not proved"
		}
		return ""
	}
	if absent := proof.GetNonexist(); absent == nil || !bytes.Equal(absent.Key, state.Key) {
		return "not about this key's absence"
	}
	if !ics23.VerifyNonMembership(jmtSpec, root, &proof, state.Key) {
		return "absence is not proved"
	}
	return ""
}

func readTrust(content []byte) (*trustFile, error) {
	var trust trustFile
	if err := json.Unmarshal(content, &trust); err != nil {
		return nil, err
	}
	_, err := trust.belief()
	return &trust, err
}
