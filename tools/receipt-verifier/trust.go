package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"
)

const maxTrustBytes = 1 << 20

// trustFile is what the verifier takes on faith.
type trustFile struct {
	chainID    string
	gid        []byte
	height     int64
	headerHash []byte
	validators *types.ValidatorSet
	until      time.Time // the end of its trust period
}

var trustTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$`)

// members reads a JSON object: encoding/json alone would take a member's name in capitals too.
func members(raw []byte, needed []string, optional ...string) (map[string]json.RawMessage, error) {
	var found map[string]json.RawMessage
	if err := json.Unmarshal(raw, &found); err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, name := range append(optional, needed...) {
		known[name] = true
	}
	for name := range found {
		if !known[name] {
			return nil, fmt.Errorf("an unknown member %q", name)
		}
	}
	for _, name := range needed {
		if _, there := found[name]; !there {
			return nil, fmt.Errorf("no %s", name)
		}
	}
	return found, nil
}

func wholeNumber(raw []byte, least, most int64) (int64, error) {
	value, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || value < least || value > most || raw[0] == '+' {
		return 0, fmt.Errorf("%s is not a whole number from %d to %d", raw, least, most)
	}
	return value, nil
}

func lowerHex(raw []byte, lengths ...int) ([]byte, error) {
	text, err := stringOf(raw)
	if err != nil {
		return nil, err
	}
	value, err := hex.DecodeString(text)
	if err != nil || hex.EncodeToString(value) != text {
		return nil, errors.New("not lower-case hex")
	}
	for _, length := range lengths {
		if len(value) == length {
			return value, nil
		}
	}
	return nil, fmt.Errorf("hex of %d bytes", len(value))
}

// readTrust is as strict as docs/spec/receipt.md says of the trust file.
func readTrust(content []byte) (*trustFile, error) {
	if len(content) > maxTrustBytes {
		return nil, errors.New("the trust file is too long")
	}
	for _, char := range content {
		if char > 0x7F {
			return nil, errors.New("the trust file is not ASCII")
		}
	}
	trust, err := readMembers(content)
	if err != nil {
		return nil, fmt.Errorf("not a trust file: %w", err)
	}
	return trust, nil
}

func readMembers(content []byte) (*trustFile, error) {
	found, err := members(content, []string{
		"chain_id", "gid", "height", "header_hash", "validators", "trusted_at", "trust_period_s",
	}, "genesis_hash")
	if err != nil {
		return nil, err
	}
	trust := &trustFile{}
	if trust.chainID, err = stringOf(found["chain_id"]); err != nil || !chainID.MatchString(trust.chainID) {
		return nil, errors.New("chain_id")
	}
	if trust.gid, err = lowerHex(found["gid"], hashBytes); err != nil {
		return nil, fmt.Errorf("gid: %w", err)
	}
	if raw, there := found["genesis_hash"]; there {
		if _, err = lowerHex(raw, 0, hashBytes); err != nil {
			return nil, fmt.Errorf("genesis_hash: %w", err)
		}
	}
	if trust.height, err = wholeNumber(found["height"], 0, maxNumber); err != nil {
		return nil, fmt.Errorf("height: %w", err)
	}
	if trust.headerHash, err = lowerHex(found["header_hash"], 0, hashBytes); err != nil {
		return nil, fmt.Errorf("header_hash: %w", err)
	}
	if trust.validators, err = readTrusted(found["validators"]); err != nil {
		return nil, fmt.Errorf("validators: %w", err)
	}
	return trust, readPeriod(trust, found)
}

func readPeriod(trust *trustFile, found map[string]json.RawMessage) error {
	text, err := stringOf(found["trusted_at"])
	if err != nil || !trustTime.MatchString(text) {
		return errors.New("trusted_at")
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Unix() < 0 {
		return errors.New("trusted_at")
	}
	periodS, err := wholeNumber(found["trust_period_s"], 1, maxNumber)
	if err != nil {
		return fmt.Errorf("trust_period_s: %w", err)
	}
	trust.until = time.Unix(at.Unix()+periodS, 0)
	return nil
}

// readTrusted is the set that is trusted, in CometBFT's order.
func readTrusted(raw []byte) (*types.ValidatorSet, error) {
	var named []json.RawMessage
	if err := json.Unmarshal(raw, &named); err != nil {
		return nil, err
	}
	if len(named) == 0 || len(named) > maxValidators {
		return nil, errors.New("none, or too many")
	}
	var given []*types.Validator
	seen, total := map[string]bool{}, int64(0)
	for _, one := range named {
		found, err := members(one, []string{"public_key", "power"})
		if err != nil {
			return nil, err
		}
		text, err := stringOf(found["public_key"])
		if err != nil {
			return nil, err
		}
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) != publicKeyBytes || base64.StdEncoding.EncodeToString(key) != text {
			return nil, errors.New("a public key")
		}
		power, err := wholeNumber(found["power"], 1, maxNumber)
		if err != nil {
			return nil, fmt.Errorf("power: %w", err)
		}
		if total += power; seen[text] || total > types.MaxTotalVotingPower {
			return nil, errors.New("a key stands there twice, or the powers are too large")
		}
		seen[text] = true
		given = append(given, types.NewValidator(ed25519.PubKey(key), power))
	}
	return types.NewValidatorSet(given), nil
}

// belief is what is believed at one height. signed is nil at genesis, and where the trust file only names a hash.
type belief struct {
	chainID            string
	height             int64
	headerHash         []byte
	signed             *types.SignedHeader
	validators         *types.ValidatorSet
	nextValidatorsHash []byte
}

func (file *trustFile) belief() *belief {
	found := &belief{
		chainID: file.chainID, height: file.height, headerHash: file.headerHash, validators: file.validators,
	}
	if len(file.headerHash) == 0 {
		found.nextValidatorsHash = file.validators.Hash()
	}
	return found
}

// anchored is the same with the header that the trust file names by its hash.
func (state *belief) anchored(signed *types.SignedHeader, set *types.ValidatorSet) (*belief, error) {
	head := signed.Header
	if head.ChainID != state.chainID || !bytes.Equal(head.Hash(), state.headerHash) {
		return nil, refuse("trust", "another header than the trust file's")
	}
	if !bytes.Equal(head.ValidatorsHash, state.validators.Hash()) {
		return nil, refuse("trust", "the trust file's validators are not those of its own header")
	}
	return state.moved(signed, set), nil
}

func (state *belief) moved(signed *types.SignedHeader, set *types.ValidatorSet) *belief {
	return &belief{
		chainID: state.chainID, height: signed.Height, headerHash: signed.Header.Hash(), signed: signed,
		validators: set, nextValidatorsHash: signed.NextValidatorsHash,
	}
}

const noPeriod = time.Duration(math.MaxInt64)
