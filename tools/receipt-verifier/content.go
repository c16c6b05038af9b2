package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields are those of a protobuf message of this ledger: numbers, and bytes or sub-messages in their order.
type fields struct {
	numbers map[protowire.Number]uint64
	bytes   map[protowire.Number][][]byte
}

func parse(encoded []byte) (fields, error) {
	found := fields{map[protowire.Number]uint64{}, map[protowire.Number][][]byte{}}
	for len(encoded) > 0 {
		number, kind, size := protowire.ConsumeTag(encoded)
		if size < 0 {
			return found, protowire.ParseError(size)
		}
		encoded = encoded[size:]
		switch kind {
		case protowire.VarintType:
			value, size := protowire.ConsumeVarint(encoded)
			if size < 0 {
				return found, protowire.ParseError(size)
			}
			found.numbers[number] = value
			encoded = encoded[size:]
		case protowire.BytesType:
			value, size := protowire.ConsumeBytes(encoded)
			if size < 0 {
				return found, protowire.ParseError(size)
			}
			found.bytes[number] = append(found.bytes[number], value)
			encoded = encoded[size:]
		default:
			return found, fmt.Errorf("a field of kind %d", kind)
		}
	}
	return found, nil
}

func (f fields) blob(number protowire.Number) []byte {
	if values := f.bytes[number]; len(values) > 0 {
		return values[len(values)-1]
	}
	return nil
}

// verifyContent is the chain's own record, and what belongs in a receipt of its kind.
func verifyContent(read *receipt, txs []verifiedTx, states map[string][]byte) error {
	record, err := parse(states["chain/"])
	if err != nil || !bytes.Equal(record.blob(2), read.Gid) || string(record.blob(1)) != read.ChainID {
		return refuse("gid", "the ledger's own record does not name this chain and genesis")
	}
	switch read.Kind {
	case "transaction":
		if len(txs) != 1 || len(states) != 1 {
			return refuse("content", "not one transaction and the chain's record")
		}
		return nil
	case "state":
		if len(txs) != 0 {
			return refuse("content", "a receipt of state has no transactions")
		}
		return nil
	}
	return verifyOrder(txs, states)
}

// order collects what the records of an order name and count.
type order struct {
	id        []byte
	record    fields
	requests  map[string]fields
	decisions map[string]bool
	answers   map[string]uint64
	extracted map[string]fields // under an authority key: request to its extraction
	partials  map[string]bool   // keys after their prefix
	signed    map[string]bool   // requests that a signing record is shown of
	rejected  uint64
	fulfilled uint64
	needed    map[string]uint64 // transaction hash to height
}

func verifyOrder(txs []verifiedTx, states map[string][]byte) error {
	held := &order{
		requests: map[string]fields{}, decisions: map[string]bool{}, answers: map[string]uint64{},
		needed: map[string]uint64{}, extracted: map[string]fields{}, partials: map[string]bool{},
		signed: map[string]bool{},
	}
	for key := range states {
		if bytes.HasPrefix([]byte(key), []byte("order/")) {
			if held.id != nil {
				return refuse("content", "it is about several orders")
			}
			held.id = []byte(key)[len("order/"):]
		}
	}
	if held.id == nil {
		return refuse("content", "it is about no order")
	}
	for key, value := range states {
		if err := held.take([]byte(key), value); err != nil {
			return err
		}
	}
	if err := held.complete(); err != nil {
		return err
	}
	return held.match(txs)
}

func (held *order) need(record fields, hash, height protowire.Number) {
	if named := record.blob(hash); len(named) > 0 {
		held.needed[string(named)] = record.numbers[height]
	}
}

func (held *order) take(key, value []byte) error {
	prefix, rest, _ := bytes.Cut(key, []byte("/"))
	record, err := parse(value)
	if err != nil || (value == nil && string(prefix) != "decision") {
		return refuse("content", "a leaf can't be read, or is absent")
	}
	switch string(prefix) {
	case "chain":
	case "order":
		held.record = record
		held.need(record, 20, 18)
		held.need(record, 23, 22)
		if !bytes.Equal(record.blob(1), rest) {
			return refuse("content", "the order's record is of another order")
		}
	case "fulfilment":
		if !bytes.HasPrefix(rest, held.id) {
			return refuse("content", "a fulfilment of another order")
		}
		if record.numbers[1] != 0 {
			held.rejected++
		} else {
			held.fulfilled++
		}
		held.need(record, 3, 2)
	case "request":
		if !bytes.Equal(record.blob(1), rest) || !bytes.Equal(record.blob(2), held.id) {
			return refuse("content", "a request of another order")
		}
		held.requests[string(rest)] = record
		held.need(record, 10, 8)
		held.need(record, 13, 12)
		held.need(record, 19, 18)
	case "decision":
		held.decisions[string(rest)] = true
		held.need(record, 3, 2)
	case "answer":
		if len(rest) < 32 {
			return refuse("content", "an answer to nothing")
		}
		held.answers[string(rest[:32])]++
		held.need(record, 3, 2)
		held.need(record, 5, 4)
	case "extraction":
		held.extracted[string(rest)] = record
		held.need(record, 13, 11)
		held.need(record, 18, 17)
	case "partial":
		held.partials[string(rest)] = true
		held.need(record, 7, 6)
	case "signing":
		held.signed[string(rest)] = true
	default:
		return refuse("content", "a leaf does not belong to the order")
	}
	return nil
}

// completeExtractions: of an order under an authority key, each granted request's extraction with its partials of the
// epoch that counts; of a signing order (it has no identity) what each request signs.
func (held *order) completeExtractions() error {
	if len(held.answers) > 0 {
		return refuse("content", "sealed answers under an authority key")
	}
	granted := 0
	for id, request := range held.requests {
		extraction, shown := held.extracted[id]
		if shown != (request.numbers[12] != 0) {
			return refuse("content", "an extraction is missing, or nobody granted it")
		}
		if held.signed[id] != (len(held.record.blob(27)) == 0) {
			return refuse("content", "what is signed is missing, or nothing is signed")
		}
		if !shown {
			continue
		}
		granted++
		counted := uint64(0)
		epoch := binary.BigEndian.AppendUint32(nil, uint32(extraction.numbers[6]))
		beginning := id + "\x00\x00\x00\x00" + string(epoch)
		for key := range held.partials {
			if strings.HasPrefix(key, beginning) {
				counted++
				delete(held.partials, key)
			}
		}
		if counted != extraction.numbers[8] {
			return refuse("content", "partials are missing")
		}
	}
	if granted != len(held.extracted) || len(held.partials) > 0 || len(held.signed) > len(held.requests) {
		return refuse("content", "a leaf does not belong to the order")
	}
	return nil
}

// deciders are the policy's parties, and who may veto: those named, or the parties and the principal.
func (held *order) deciders() (map[string]bool, error) {
	found := map[string]bool{}
	policy, err := parse(held.record.blob(11))
	if err != nil {
		return nil, err
	}
	for _, node := range policy.bytes[1] {
		party, err := parse(node)
		if err != nil {
			return nil, err
		}
		if identity := party.blob(1); len(identity) > 0 {
			found[string(identity)] = true
		}
	}
	if policy.numbers[4] == 0 {
		return found, nil
	}
	for _, vetoer := range policy.bytes[5] {
		found[string(vetoer)] = true
	}
	if len(policy.bytes[5]) == 0 {
		found[string(held.record.blob(2))] = true
	}
	return found, nil
}

func (held *order) complete() error {
	if held.fulfilled != held.record.numbers[14] || held.rejected != held.record.numbers[15] {
		return refuse("content", "fulfilments are missing")
	}
	deciders, err := held.deciders()
	if err != nil {
		return refuse("content", "the policy can't be read")
	}
	underKey := len(held.record.blob(26)) > 0
	if underKey {
		if err := held.completeExtractions(); err != nil {
			return err
		}
	} else if len(held.extracted)+len(held.partials)+len(held.signed) > 0 {
		return refuse("content", "a leaf does not belong to the order")
	}
	open, wanted := uint64(0), 0
	for id, request := range held.requests {
		if request.numbers[20] == 0 {
			open++
		}
		if !underKey && held.answers[id] != request.numbers[16] {
			return refuse("content", "answers are missing")
		}
		for party := range deciders {
			wanted++
			if !held.decisions[id+party] {
				return refuse("content", "a decision is missing")
			}
		}
	}
	for id := range held.answers {
		if _, shown := held.requests[id]; !shown {
			return refuse("content", "an answer to a request that is not shown")
		}
	}
	if open != held.record.numbers[24] || wanted != len(held.decisions) {
		return refuse("content", "requests are missing, or decisions are of nobody")
	}
	return nil
}

func (held *order) match(txs []verifiedTx) error {
	shown := map[string]bool{}
	for _, tx := range txs {
		if tx.code != 0 {
			return refuse("content", "a transaction was refused: nothing happened by it")
		}
		shown[fmt.Sprintf("%x %d", tx.hash, tx.height)] = true
		if _, named := held.needed[string(tx.hash)]; !named && !held.concerns(tx.tx) {
			return refuse("content", "a transaction has nothing to do with the order")
		}
	}
	for hash, height := range held.needed {
		if !shown[fmt.Sprintf("%x %d", hash, height)] {
			return refuse("content", "the transaction %x is missing", hash)
		}
	}
	return nil
}

// concerns: the message names the order, or a request of it.
func (held *order) concerns(tx []byte) bool {
	signed, err := parse(tx)
	if err != nil {
		return false
	}
	body, err := parse(signed.blob(1))
	if err != nil {
		return false
	}
	for number, field := range aboutOrder {
		if message, err := parse(body.blob(number)); err == nil && bytes.Equal(message.blob(field), held.id) {
			return true
		}
	}
	for number, field := range aboutRequest {
		if message, err := parse(body.blob(number)); err == nil {
			if _, shown := held.requests[string(message.blob(field))]; shown {
				return true
			}
		}
	}
	return false
}
