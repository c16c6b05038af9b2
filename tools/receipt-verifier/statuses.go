package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// moment is a block's height, and its time in whole seconds.
type moment struct {
	height uint64
	timeS  uint64
}

// shownStatus says how a record's status is found, and what it is once a deadline has overtaken it.
type shownStatus struct {
	record    string
	overtaken func(held *verified, read record, at moment) string // the name of the status then; "" where it is as recorded
}

var shownStatuses = map[string]shownStatus{
	"order":      {"OrderRecord", (*verified).orderThen},
	"request":    {"RequestRecord", (*verified).requestThen},
	"vault":      {"VaultRecord", (*verified).vaultThen},
	"proposal":   {"ProposalRecord", (*verified).proposalThen},
	"extraction": {"ExtractionRecord", (*verified).extractionThen},
	"id":         {"IdentityRecord", (*verified).identityThen},
}

// statuses are those of the leaves that have one, as the block that proves the state finds them: "order/1a2b expired".
func (held *verified) statuses() []string {
	last := held.receipt.Blocks[len(held.receipt.Blocks)-1].Header
	at := moment{uint64(last.Height), uint64(last.Time.Unix())}
	keys := make([]string, 0, len(held.states))
	for key := range held.states {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var found []string
	for _, key := range keys {
		prefix, id, _ := strings.Cut(key, "/")
		how, known := shownStatuses[prefix]
		if !known || len(id) != idBytes || held.states[key] == nil {
			continue
		}
		read, err := readRecord(how.record, held.states[key])
		if err != nil {
			continue
		}
		name := statusName(read)
		if then := how.overtaken(held, read, at); then != "" {
			name = then
		}
		if name != "" {
			found = append(found, fmt.Sprintf("%s/%x %s", prefix, id, name))
		}
	}
	return found
}

// statusName is the recorded one in lower case, without what all of its kind begin with; "" where it has none.
func statusName(read record) string {
	field := read.Descriptor().Fields().ByName("status")
	value := field.Enum().Values().ByNumber(protoreflect.EnumNumber(read.enum("status")))
	if value == nil {
		return ""
	}
	_, name, _ := strings.Cut(string(value.Name()), "_STATUS_")
	return strings.ReplaceAll(strings.ToLower(name), "_", " ")
}

func hasStatus(read record, names ...string) bool { return slices.Contains(names, statusName(read)) }

func (held *verified) orderThen(read record, at moment) string {
	timeS, height := read.number("expires_at_time_s"), read.number("expires_at_height")
	if hasStatus(read, "placed", "active") && ((timeS > 0 && at.timeS >= timeS) || (height > 0 && at.height > height)) {
		return "expired"
	}
	return ""
}

func (held *verified) requestThen(read record, at moment) string {
	if !hasStatus(read, "pending", "granted") {
		return ""
	}
	// One that is granted and waits for its release has no deadline.
	if deadline := read.number("deadline_time_s"); deadline != 0 && at.timeS >= deadline {
		return "expired"
	}
	shown := held.states["order/"+string(read.bytes("order"))]
	if of, err := readRecord("OrderRecord", shown); shown != nil && err == nil &&
		(hasStatus(of, "expired") || held.orderThen(of, at) != "") {
		return "expired"
	}
	return ""
}

func (held *verified) vaultThen(read record, at moment) string {
	if hasStatus(read, "closing") && at.timeS >= read.number("closes_at_time_s") && at.height >= read.number("closes_at_height") {
		return "closed"
	}
	return ""
}

func (held *verified) proposalThen(read record, at moment) string {
	if hasStatus(read, "open") && at.timeS >= read.number("deadline_time_s") && at.height > read.number("deadline_height") {
		return "expired"
	}
	return ""
}

func (held *verified) extractionThen(read record, at moment) string {
	if hasStatus(read, "pending") && at.timeS >= read.number("deadline_time_s") {
		return "expired"
	}
	return ""
}

func (held *verified) identityThen(read record, at moment) string {
	until := read.number("not_after_s")
	if hasStatus(read, "active") && (at.timeS < read.number("not_before_s") || (until > 0 && at.timeS > until)) {
		return "out of date"
	}
	return ""
}
