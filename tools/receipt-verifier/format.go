package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// The bounds of docs/spec/receipt.md.
const (
	maxReceiptBytes = 32 << 20
	maxBlocks       = 4096
	maxValidators   = 1000
	maxTransactions = 4096
	maxStates       = 4096
	maxPath         = 32
	maxTxBytes      = 65_536
	maxDataBytes    = 65_536
	maxKeyBytes     = 1024
	maxValueBytes   = 4096
	maxProofBytes   = 65_536
	hashBytes       = 32
	publicKeyBytes  = 32
	addressBytes    = 20
	signatureBytes  = 64
	maxNumber       = 1<<53 - 1
	maxSmall        = 1<<31 - 1
	timeLayout      = "2006-01-02T15:04:05.000000000Z"
	firstYear       = 1 // of a vote's time: what CometBFT's encoding holds begins there
	formatName      = "dta-receipt-1"
)

// hexText is lower-case hex; base64Text standard base64; both refuse null.
type hexText []byte
type base64Text []byte

// timeText is RFC 3339 in UTC with nine digits after the point.
type timeText struct{ time.Time }

func (value hexText) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(value)) }
func (value base64Text) MarshalJSON() ([]byte, error) {
	return json.Marshal(base64.StdEncoding.EncodeToString(value))
}
func (value timeText) MarshalJSON() ([]byte, error) { return json.Marshal(value.Format(timeLayout)) }

func (value *hexText) UnmarshalJSON(raw []byte) error {
	text, err := stringOf(raw)
	if err == nil {
		*value, err = hex.DecodeString(text)
	}
	return err
}

func (value *base64Text) UnmarshalJSON(raw []byte) error {
	text, err := stringOf(raw)
	if err == nil {
		*value, err = base64.StdEncoding.DecodeString(text)
	}
	return err
}

func (value *timeText) UnmarshalJSON(raw []byte) error {
	text, err := stringOf(raw)
	if err == nil {
		value.Time, err = time.Parse(timeLayout, text)
	}
	return err
}

func stringOf(raw []byte) (string, error) {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", err
	}
	if text == nil {
		return "", errors.New("null where there must be a string")
	}
	return *text, nil
}

// Fields stand in the order of their names in the file: so encoding/json writes the canonical form.
type receipt struct {
	Blocks  []block `json:"blocks"`
	ChainID string  `json:"chain_id"`
	Format  string  `json:"format"`
	Gid     hexText `json:"gid"`
	Kind    string  `json:"kind"`
	States  []leaf  `json:"states"`
}

type block struct {
	Commit       commit      `json:"commit"`
	Header       header      `json:"header"`
	Transactions []included  `json:"transactions"`
	Validators   []validator `json:"validators"` // null: the set before
}

type commit struct {
	Parts parts   `json:"parts"`
	Round int64   `json:"round"`
	Votes []*vote `json:"votes"` // null: none
}

type parts struct {
	Hash  hexText `json:"hash"`
	Total int64   `json:"total"`
}

type vote struct {
	For       string     `json:"for"`
	Signature base64Text `json:"signature"`
	Time      timeText   `json:"time"`
}

type blockID struct {
	Hash  hexText `json:"hash"`
	Parts parts   `json:"parts"`
}

type version struct {
	App   int64 `json:"app"`
	Block int64 `json:"block"`
}

type header struct {
	AppHash            hexText  `json:"app_hash"`
	ChainID            string   `json:"chain_id"`
	ConsensusHash      hexText  `json:"consensus_hash"`
	DataHash           hexText  `json:"data_hash"`
	EvidenceHash       hexText  `json:"evidence_hash"`
	Height             int64    `json:"height"`
	LastBlockID        blockID  `json:"last_block_id"`
	LastCommitHash     hexText  `json:"last_commit_hash"`
	LastResultsHash    hexText  `json:"last_results_hash"`
	NextValidatorsHash hexText  `json:"next_validators_hash"`
	ProposerAddress    hexText  `json:"proposer_address"`
	Time               timeText `json:"time"`
	ValidatorsHash     hexText  `json:"validators_hash"`
	Version            version  `json:"version"`
}

type included struct {
	Code      int64      `json:"code"`
	Data      base64Text `json:"data"`
	GasUsed   int64      `json:"gas_used"`
	GasWanted int64      `json:"gas_wanted"`
	Path      []turn     `json:"path"`
	Tx        base64Text `json:"tx"`
}

type turn struct {
	Result hexText `json:"result"`
	Side   string  `json:"side"`
	Tx     hexText `json:"tx"`
}

type validator struct {
	Power     int64   `json:"power"`
	PublicKey hexText `json:"public_key"`
}

type leaf struct {
	Key   hexText     `json:"key"`
	Proof base64Text  `json:"proof"`
	Value *base64Text `json:"value"` // null: there is no such leaf
}

var chainID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,50}$`)

// decodeReceipt reads the canonical form and nothing else: writing what was read must give the very bytes.
func decodeReceipt(content []byte) (*receipt, error) {
	if len(content) > maxReceiptBytes {
		return nil, refuse("format", "it is too long")
	}
	var read receipt
	if err := json.Unmarshal(content, &read); err != nil {
		return nil, refuse("format", "%v", err)
	}
	var again bytes.Buffer
	encoder := json.NewEncoder(&again)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(&read); err != nil || !bytes.Equal(again.Bytes(), content) {
		return nil, refuse("format", "it is not in the canonical form")
	}
	if err := checkForm(&read); err != nil {
		return nil, refuse("format", "%v", err)
	}
	return &read, nil
}

// checkForm is what the round trip leaves open: null lists, words, numbers, lengths, how many there may be.
func checkForm(read *receipt) error {
	kinds := map[string]bool{"transaction": true, "state": true, "order": true}
	if read.Format != formatName || !kinds[read.Kind] || !chainID.MatchString(read.ChainID) || len(read.Gid) != hashBytes {
		return errors.New("format, kind, chain_id or gid")
	}
	if len(read.Blocks) == 0 || len(read.Blocks) > maxBlocks || read.States == nil || len(read.States) > maxStates {
		return errors.New("blocks or states are missing, or too many")
	}
	for index := range read.Blocks {
		if err := checkBlock(&read.Blocks[index]); err != nil {
			return fmt.Errorf("blocks[%d]: %w", index, err)
		}
	}
	for index, state := range read.States {
		if err := checkLeaf(&state); err != nil {
			return fmt.Errorf("states[%d]: %w", index, err)
		}
	}
	return nil
}

func checkLeaf(state *leaf) error {
	if len(state.Key) == 0 || len(state.Key) > maxKeyBytes || len(state.Proof) > maxProofBytes {
		return errors.New("a key or a proof of this length")
	}
	if state.Value != nil && (len(*state.Value) == 0 || len(*state.Value) > maxValueBytes) {
		return errors.New("a value of this length")
	}
	return nil
}

func checkBlock(one *block) error {
	if err := checkHeader(&one.Header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if err := checkCommit(&one.Commit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if one.Validators != nil && (len(one.Validators) == 0 || len(one.Validators) > maxValidators) {
		return errors.New("validators: none, or too many")
	}
	for _, named := range one.Validators {
		if named.Power < 1 || named.Power > maxNumber || len(named.PublicKey) != publicKeyBytes {
			return errors.New("validators: a power or a public key")
		}
	}
	if one.Transactions == nil || len(one.Transactions) > maxTransactions {
		return errors.New("transactions: missing, or too many")
	}
	for index := range one.Transactions {
		if err := checkIncluded(&one.Transactions[index]); err != nil {
			return fmt.Errorf("transactions[%d]: %w", index, err)
		}
	}
	return nil
}

func checkHeader(head *header) error {
	if !chainID.MatchString(head.ChainID) || head.Height < 1 || len(head.ProposerAddress) != addressBytes {
		return errors.New("chain_id, height or proposer_address")
	}
	if head.Time.Unix() < 0 {
		return errors.New("a time before 1970")
	}
	if err := checkNumbers(maxNumber, head.Height, head.Version.App, head.Version.Block); err != nil {
		return err
	}
	if err := checkNumbers(maxSmall, head.LastBlockID.Parts.Total); err != nil {
		return err
	}
	return checkHashes(
		head.AppHash, head.ConsensusHash, head.DataHash, head.EvidenceHash, head.LastBlockID.Hash,
		head.LastBlockID.Parts.Hash, head.LastCommitHash, head.LastResultsHash, head.NextValidatorsHash,
		head.ValidatorsHash,
	)
}

func checkCommit(given *commit) error {
	if err := checkNumbers(maxSmall, given.Round, given.Parts.Total); err != nil {
		return err
	}
	if len(given.Votes) == 0 || len(given.Votes) > maxValidators {
		return errors.New("votes: none, or too many")
	}
	for _, cast := range given.Votes {
		if cast == nil {
			continue
		}
		if (cast.For != "block" && cast.For != "nil") || len(cast.Signature) != signatureBytes {
			return errors.New("a vote")
		}
		if cast.Time.Year() < firstYear {
			return errors.New("a vote's time")
		}
	}
	return checkHashes(given.Parts.Hash)
}

func checkIncluded(tx *included) error {
	if len(tx.Tx) > maxTxBytes || len(tx.Data) > maxDataBytes {
		return errors.New("tx or data is too long")
	}
	if tx.Path == nil || len(tx.Path) > maxPath {
		return errors.New("a path is missing, or too long")
	}
	for _, step := range tx.Path {
		if (step.Side != "left" && step.Side != "right") || len(step.Tx) != hashBytes || len(step.Result) != hashBytes {
			return errors.New("a turn")
		}
	}
	if err := checkNumbers(maxSmall, tx.Code); err != nil {
		return err
	}
	return checkNumbers(maxNumber, tx.GasUsed, tx.GasWanted)
}

func checkNumbers(most int64, numbers ...int64) error {
	for _, number := range numbers {
		if number < 0 || number > most {
			return errors.New("a number that is not 0 to " + strconv.FormatInt(most, 10))
		}
	}
	return nil
}

func checkHashes(hashes ...hexText) error {
	for _, hash := range hashes {
		if len(hash) != 0 && len(hash) != hashBytes {
			return errors.New("a hash")
		}
	}
	return nil
}
