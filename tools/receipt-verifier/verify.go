package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtmath "github.com/cometbft/cometbft/libs/math"
	"github.com/cometbft/cometbft/light"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
	blockversion "github.com/cometbft/cometbft/version"
)

const maxClockDriftS = 60

// No header is believed on less than two thirds of a set that was believed before it.
var trustLevel = cmtmath.Fraction{Numerator: 2, Denominator: 3}

// refusal is why a receipt is not believed; step names the check as docs/spec/receipt.md does.
type refusal struct{ step, reason string }

func (r *refusal) Error() string { return r.step + ": " + r.reason }

func refuse(step, format string, arguments ...any) error {
	return &refusal{step, fmt.Sprintf(format, arguments...)}
}

// verified is what a receipt proves.
type verified struct {
	receipt  *receipt
	states   map[string][]byte // nil: proved absent
	order    *order            // of the receipt of an order
	warnings []string
}

func (held *verified) height() int64 {
	return held.receipt.Blocks[len(held.receipt.Blocks)-1].Header.Height - 1
}

// verify checks a receipt, in the order of docs/spec/receipt.md.
func verify(content []byte, trust *trustFile, now time.Time) (held *verified, err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			held, err = nil, refuse("format", "a library panicked: %v", recovered)
		}
	}()
	read, err := decodeReceipt(content)
	if err != nil {
		return nil, err
	}
	if read.ChainID != trust.chainID {
		return nil, refuse("chain", "it is of the chain %s", read.ChainID)
	}
	if !bytes.Equal(read.Gid, trust.gid) {
		return nil, refuse("gid", "it is of another genesis")
	}
	if err = verifyPath(read, trust, now); err != nil {
		return nil, err
	}
	txs, err := verifyTxs(read)
	if err != nil {
		return nil, err
	}
	states, err := verifyStates(read)
	if err != nil {
		return nil, err
	}
	about, err := verifyContent(read, txs, states)
	if err != nil {
		return nil, err
	}
	return &verified{read, states, about, warningsOf(read, trust, now)}, nil
}

func warningsOf(read *receipt, trust *trustFile, now time.Time) []string {
	var found []string
	if now.After(trust.until) {
		found = append(found, "the trust file is past its trust period")
	}
	for _, one := range read.Blocks {
		if one.Header.Time.Unix() > trust.until.Unix() {
			return append(found, fmt.Sprintf("header %d was signed after the trust period", one.Header.Height))
		}
	}
	return found
}

func verifyPath(read *receipt, trust *trustFile, now time.Time) error {
	state := trust.belief()
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
			held = setOf(one.Validators)
		}
		if len(one.Commit.Votes) != held.Size() {
			return refuse("commit", "blocks[%d]: not one entry for each validator", index)
		}
		if one.Header.Time.Unix() > now.Unix()+maxClockDriftS {
			return refuse("time", "blocks[%d] is from the future", index)
		}
		next, err := state.step(signedHeader(one, held), held, now)
		if err != nil {
			return err
		}
		state = next
	}
	return nil
}

func setOf(named []validator) *types.ValidatorSet {
	set := &types.ValidatorSet{}
	for _, one := range named {
		set.Validators = append(set.Validators, types.NewValidator(ed25519.PubKey(one.PublicKey), one.Power))
	}
	return set
}

func signedHeader(one *block, set *types.ValidatorSet) *types.SignedHeader {
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
	given := &types.Commit{Height: made.Height, Round: int32(one.Commit.Round), BlockID: of.id(), Signatures: signatures}
	return &types.SignedHeader{Header: made, Commit: given}
}

func (id blockID) id() types.BlockID {
	return types.BlockID{
		Hash:          []byte(id.Hash),
		PartSetHeader: types.PartSetHeader{Total: uint32(id.Parts.Total), Hash: []byte(id.Parts.Hash)},
	}
}

// step moves belief to one later header, or to the one that the trust file names by its hash.
func (state *belief) step(signed *types.SignedHeader, set *types.ValidatorSet, now time.Time) (*belief, error) {
	if signed.Height == state.height && state.signed == nil {
		next, err := state.anchored(signed, set)
		if err != nil {
			return nil, err
		}
		return next, state.verifyCommit(signed, set)
	}
	if signed.Height <= state.height {
		return nil, refuse("trust", "heights do not rise")
	}
	if err := state.verifyCommit(signed, set); err != nil {
		return nil, err
	}
	if err := state.believe(signed, set, now); err != nil {
		return nil, err
	}
	return state.moved(signed, set), nil
}

// verifyCommit is what a header's own validators have to have signed: every signature is checked, for nil too.
func (state *belief) verifyCommit(signed *types.SignedHeader, set *types.ValidatorSet) error {
	head := signed.Header
	if head.ChainID != state.chainID || head.Version.Block != blockversion.BlockProtocol {
		return refuse("header", "another chain or block protocol")
	}
	seen, total := map[string]bool{}, int64(0)
	for _, one := range set.Validators {
		if total += one.VotingPower; seen[string(one.Address)] || total > types.MaxTotalVotingPower {
			return refuse("validators", "a validator stands there twice, or the powers are too large")
		}
		seen[string(one.Address)] = true
	}
	if !bytes.Equal(set.Hash(), head.ValidatorsHash) {
		return refuse("validators", "the set is not the header's")
	}
	if err := set.VerifyCommit(state.chainID, signed.Commit.BlockID, head.Height, signed.Commit); err != nil {
		return refuse("commit", "%v", err)
	}
	return nil
}

// believe: where a header is believed already, CometBFT's light client decides, with a trust level of 2/3 and no period
// (that is a warning).
func (state *belief) believe(signed *types.SignedHeader, set *types.ValidatorSet, now time.Time) error {
	if state.signed != nil && !signed.Time.After(state.signed.Time) {
		return refuse("time", "it is not later than the header before it")
	}
	adjacent := signed.Height == state.height+1 && len(state.nextValidatorsHash) > 0
	if adjacent && !bytes.Equal(signed.ValidatorsHash, state.nextValidatorsHash) {
		return refuse("trust", "the validators are not those that were announced")
	}
	if adjacent && len(state.headerHash) > 0 && !bytes.Equal(signed.LastBlockID.Hash, state.headerHash) {
		return refuse("trust", "it follows another block")
	}
	var err error
	if state.signed != nil {
		const drift = (maxClockDriftS + 2) * time.Second // verifyPath has looked: it counts whole seconds
		err = light.Verify(state.signed, state.validators, signed, set, noPeriod, now, drift, trustLevel)
	} else if !adjacent {
		err = state.validators.VerifyCommitLightTrusting(state.chainID, signed.Commit, trustLevel)
	}
	if err != nil {
		return refuse("trust", "%v", err)
	}
	return nil
}
