package main

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

const idBytes = 32

// verifyContent is the chain's own record, and what belongs in a receipt of its kind.
func verifyContent(read *receipt, txs []verifiedTx, states map[string][]byte) (*order, error) {
	chain, err := readRecord("ChainRecord", states["chain/"])
	if err != nil || !bytes.Equal(chain.bytes("gid"), read.Gid) || chain.text("chain_id") != read.ChainID {
		return nil, refuse("gid", "the ledger's own record does not name this chain and genesis")
	}
	switch read.Kind {
	case "transaction":
		if len(txs) != 1 || len(states) != 1 {
			return nil, refuse("content", "not one transaction and the chain's record")
		}
		return nil, nil
	case "state":
		if len(txs) != 0 {
			return nil, refuse("content", "a receipt of state has no transactions")
		}
		return nil, nil
	}
	held, err := orderOf(states)
	if err != nil {
		return nil, err
	}
	return held, held.match(txs)
}

// order collects what the records of an order name and count.
type order struct {
	id        []byte
	record    record
	fulfilled uint64
	rejected  uint64
	requests  map[string]record
	decisions map[string]bool // request and party
	answers   map[string]uint64
	extracted map[string]record // under an authority key: request to its extraction
	partials  map[string]uint64 // of any epoch
	counting  map[string]uint64 // of the epoch that counts
	given     []given
	signed    map[string]bool // requests that a signing record is shown of
	needed    map[named]bool
}

// given is an answer that was taken: who gave it, at which height.
type given struct {
	fiduciary string
	height    uint64
}

// named is what a record says that made it: a transaction, its height, and which part of it (0, but in a bundle).
type named struct {
	hash   string
	height uint64
	item   uint64
}

func orderOf(states map[string][]byte) (*order, error) {
	held := &order{
		requests: map[string]record{}, decisions: map[string]bool{}, answers: map[string]uint64{},
		extracted: map[string]record{}, partials: map[string]uint64{}, counting: map[string]uint64{},
		signed: map[string]bool{}, needed: map[named]bool{},
	}
	var keys []string
	for key := range states {
		keys = append(keys, key)
		if bytes.HasPrefix([]byte(key), []byte("order/")) {
			if held.id != nil {
				return nil, refuse("content", "it is about several orders")
			}
			held.id = []byte(key)[len("order/"):]
		}
	}
	if len(held.id) != idBytes {
		return nil, refuse("content", "it is about no order")
	}
	read, err := readRecord("OrderRecord", states["order/"+string(held.id)])
	if err != nil || !bytes.Equal(read.bytes("id"), held.id) {
		return nil, refuse("content", "the order's record can't be read, or is of another order")
	}
	held.record = read
	held.need(read, "placed_tx", "placed_height")
	held.need(read, "ended_tx", "ended_height")
	slices.Sort(keys) // a request's extraction before its partials
	for _, key := range keys {
		if err := held.take([]byte(key), states[key]); err != nil {
			return nil, err
		}
	}
	return held, held.complete()
}

// need: the record was made by the transaction in the field hash at the one in the field height. The part of it stands in
// the field of the hash's name with "_item" (tx_hash: tx_item), where a result may have made the record.
func (held *order) need(from record, hash, height string) {
	name := string(from.bytes(hash))
	if len(name) == 0 {
		return
	}
	item, field := uint64(0), strings.TrimSuffix(hash, "_hash")+"_item"
	if from.has(field) {
		item = from.number(field)
	}
	held.needed[named{name, from.number(height), item}] = true
}

func (held *order) underKey() bool { return len(held.record.bytes("authority")) > 0 }

// kind is how the leaves under a prefix are read: their record, and how many ids their key has.
type kind struct {
	record string
	ids    int
	take   func(held *order, rest []byte, read record) error
}

var kinds = map[string]kind{
	"fulfilment": {"FulfilmentRecord", 2, (*order).takeFulfilment},
	"request":    {"RequestRecord", 1, (*order).takeRequest},
	"decision":   {"DecisionRecord", 2, (*order).takeDecision},
	"answer":     {"AnswerRecord", 2, (*order).takeAnswer},
}

var kindsUnderKey = map[string]kind{
	"extraction": {"ExtractionRecord", 1, (*order).takeExtraction},
	"signing":    {"SigningRecord", 1, (*order).takeSigning},
}

func (held *order) take(key, value []byte) error {
	prefix, rest, _ := bytes.Cut(key, []byte("/"))
	name := string(prefix)
	if string(key) == "chain/" || name == "order" {
		return nil
	}
	if name == "partial" && held.underKey() {
		return held.takePartial(rest, value)
	}
	how, known := kinds[name]
	if !known && held.underKey() {
		how, known = kindsUnderKey[name]
	}
	if !known || len(rest) != how.ids*idBytes {
		return refuse("content", "a leaf does not belong to the order")
	}
	if value == nil && name == "decision" {
		held.decisions[string(rest)] = true
		return nil
	}
	read, err := readLeaf(how.record, value)
	if err != nil {
		return err
	}
	return how.take(held, rest, read)
}

func readLeaf(name string, value []byte) (record, error) {
	if value == nil {
		return record{}, refuse("content", "a leaf is shown to be absent")
	}
	read, err := readRecord(name, value)
	if err != nil {
		return record{}, refuse("content", "a leaf: %v", err)
	}
	return read, nil
}

func (held *order) takeFulfilment(rest []byte, read record) error {
	if !bytes.HasPrefix(rest, held.id) {
		return refuse("content", "a fulfilment of another order")
	}
	if read.enum("rejection") != 0 {
		held.rejected++
	} else {
		held.fulfilled++
	}
	held.need(read, "tx_hash", "height")
	return nil
}

func (held *order) takeRequest(rest []byte, read record) error {
	if !bytes.Equal(read.bytes("id"), rest) || !bytes.Equal(read.bytes("order"), held.id) {
		return refuse("content", "a request of another order")
	}
	held.requests[string(rest)] = read
	held.need(read, "requested_tx", "requested_height")
	held.need(read, "granted_tx", "granted_height")
	held.need(read, "ended_tx", "ended_height")
	return nil
}

func (held *order) takeDecision(rest []byte, read record) error {
	held.decisions[string(rest)] = true
	held.need(read, "tx_hash", "height")
	held.need(read, "approved_tx", "approved_height")
	return nil
}

func (held *order) takeAnswer(rest []byte, read record) error {
	held.answers[string(rest[:idBytes])]++
	held.given = append(held.given, given{string(rest[idBytes:]), read.number("height")})
	held.need(read, "tx_hash", "height")
	held.need(read, "reported_tx", "reported_height")
	return nil
}

func (held *order) takeExtraction(rest []byte, read record) error {
	held.extracted[string(rest)] = read
	held.need(read, "opened_tx", "opened_height")
	held.need(read, "ended_tx", "ended_height")
	return nil
}

func (held *order) takeSigning(rest []byte, _ record) error {
	held.signed[string(rest)] = true
	return nil
}

// takePartial: one of item 0, of the epoch that counts or of one before: each answer was given.
func (held *order) takePartial(rest, value []byte) error {
	const length = idBytes + 4 + 4 + idBytes
	if len(rest) != length {
		return refuse("content", "a partial's key")
	}
	request := string(rest[:idBytes])
	extraction, shown := held.extracted[request]
	epoch := uint64(binary.BigEndian.Uint32(rest[idBytes+4:]))
	if !shown || binary.BigEndian.Uint32(rest[idBytes:]) != 0 || epoch > extraction.number("epoch") {
		return refuse("content", "a partial of nothing, or of an epoch that was not yet")
	}
	read, err := readLeaf("PartialRecord", value)
	if err != nil {
		return err
	}
	held.partials[request]++
	if epoch == extraction.number("epoch") {
		held.counting[request]++
	}
	held.given = append(held.given, given{string(rest[idBytes+8:]), read.number("height")})
	held.need(read, "tx_hash", "height")
	return nil
}

// deciders are the policy's parties, and who may veto: those named, or the parties and the principal.
func (held *order) deciders() map[string]bool {
	found := map[string]bool{}
	policy := held.record.record("policy")
	for index, nodes := 0, policy.list("nodes"); index < nodes.Len(); index++ {
		if identity := (record{nodes.Get(index).Message()}).bytes("identity"); len(identity) > 0 {
			found[string(identity)] = true
		}
	}
	if policy.number("veto_window_s") == 0 {
		return found
	}
	vetoers := policy.list("vetoers")
	for index := 0; index < vetoers.Len(); index++ {
		found[string(vetoers.Get(index).Bytes())] = true
	}
	if vetoers.Len() == 0 {
		found[string(held.record.bytes("principal"))] = true
	}
	return found
}

// complete: the records count what belongs to them.
func (held *order) complete() error {
	if held.fulfilled != held.record.number("fulfilled") || held.rejected != held.record.number("rejected") {
		return refuse("content", "fulfilments are missing")
	}
	numbered := map[uint64]bool{}
	for _, request := range held.requests {
		numbered[request.number("number")] = true
	}
	for number := uint64(1); number <= uint64(len(held.requests)); number++ {
		if !numbered[number] {
			return refuse("content", "the request numbered %d is missing", number)
		}
	}
	if uint64(len(held.requests)) != held.record.number("requests") {
		return refuse("content", "it shows %d of %d requests", len(held.requests), held.record.number("requests"))
	}
	deciders := held.deciders()
	for id := range held.requests {
		for party := range deciders {
			if !held.decisions[id+party] {
				return refuse("content", "a decision is missing")
			}
		}
	}
	if len(held.decisions) != len(held.requests)*len(deciders) {
		return refuse("content", "decisions of nobody")
	}
	complete := held.completeAnswers
	if held.underKey() {
		complete = held.completeExtractions
	}
	if err := complete(); err != nil {
		return err
	}
	answerers := map[string]bool{}
	for _, one := range held.given {
		answerers[one.fiduciary] = true
	}
	if uint64(len(held.given)) != held.record.number("answers") ||
		uint64(len(answerers)) != held.record.number("answerers") {
		return refuse("content", "answers are missing")
	}
	return nil
}

func (held *order) completeAnswers() error {
	for id, request := range held.requests {
		if held.answers[id] != request.number("answers") {
			return refuse("content", "answers are missing")
		}
	}
	for id := range held.answers {
		if _, shown := held.requests[id]; !shown {
			return refuse("content", "an answer to a request that is not shown")
		}
	}
	return nil
}

// completeExtractions: of an order under an authority key, each released request's extraction with its partials, of the
// epoch that counts and of those before; of a signing order (it has no identity) what each request signs.
func (held *order) completeExtractions() error {
	if len(held.answers) > 0 {
		return refuse("content", "sealed answers under an authority key")
	}
	released, signs := 0, len(held.record.bytes("identity")) == 0
	for id, request := range held.requests {
		extraction, shown := held.extracted[id]
		if shown != (request.number("released_height") != 0) {
			return refuse("content", "an extraction is missing, or its request was not released")
		}
		if held.signed[id] != signs {
			return refuse("content", "what is signed is missing, or nothing is signed")
		}
		if !shown {
			continue
		}
		released++
		answers := extraction.number("answers")
		if held.counting[id] != answers || held.partials[id] != answers+extraction.number("earlier_answers") {
			return refuse("content", "partials are missing")
		}
	}
	if released != len(held.extracted) || (signs && len(held.signed) != len(held.requests)) || (!signs && len(held.signed) > 0) {
		return refuse("content", "a leaf does not belong to the order")
	}
	return nil
}

// match: what the records name was done, and by each transaction something happened to the order. Done is a part whose
// own code is 0.
func (held *order) match(txs []verifiedTx) error {
	done := map[named]bool{}
	for _, tx := range txs {
		if tx.code != 0 {
			return refuse("content", "a transaction was refused: nothing happened by it")
		}
		about := false
		for item, one := range tx.parts {
			if one.code == 0 {
				made := named{string(tx.hash), tx.height, uint64(item)}
				done[made] = true
				about = about || held.needed[made]
			}
		}
		if !about {
			return refuse("content", "no record names the transaction %x", tx.hash)
		}
	}
	for one := range held.needed {
		if !done[one] {
			return refuse("content", "part %d of the transaction %x of height %d is missing, or failed", one.item, one.hash, one.height)
		}
	}
	return nil
}
