package main

// part is what a transaction says, or one result of a bundle, and what became of it. In a bundle its number is the item
// that records name, from 0.
type part struct {
	message record
	code    uint64
}

// partsOf reads a transaction with its result: no parts where the bytes are none of this ledger's. A bundle's own code
// is 0 whatever became of its results: its data says that, one by one, and is refused where it does not.
func partsOf(tx included) ([]part, error) {
	signed, err := readRecord("SignedTx", tx.Tx)
	if err != nil || len(signed.bytes("signer")) != idBytes {
		return nil, nil
	}
	body, err := readRecord("TxBody", signed.bytes("body"))
	if err != nil {
		return nil, nil
	}
	message, chosen := body.chosen("message")
	if !chosen {
		return nil, nil
	}
	if message.Descriptor().Name() != "SubmitResults" {
		return []part{{message, uint64(tx.Code)}}, nil
	}
	if tx.Code != 0 {
		return nil, nil // nothing happened by it, whatever it says
	}
	outcomes, err := readRecord("ResultOutcomes", tx.Data)
	if err != nil {
		return nil, refuse("result", "what became of each result can't be read")
	}
	results, each := message.list("results"), outcomes.list("outcomes")
	if results.Len() != each.Len() {
		return nil, refuse("result", "it does not say what became of each result")
	}
	parts := make([]part, results.Len())
	for item := range parts {
		result, chosen := record{results.Get(item).Message()}.chosen("message")
		if !chosen {
			return nil, refuse("result", "a result of no kind was executed")
		}
		parts[item] = part{result, record{each.Get(item).Message()}.number("code")}
	}
	return parts, nil
}
