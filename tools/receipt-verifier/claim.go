package main

// neverReleased: by the end of block upTo nobody had answered a request of the order, of any epoch. Answers to different
// requests combine, so what became of the requests says nothing.
func (held *verified) neverReleased(upTo int64) error {
	if held.order == nil {
		return refuse("claim", "it is not about an order")
	}
	if upTo > held.height() {
		return refuse("claim", "it proves the state of height %d, which is before height %d", held.height(), upTo)
	}
	answers, answerers := 0, map[string]bool{}
	for _, one := range held.order.given {
		if one.height <= uint64(upTo) {
			answers++
			answerers[one.fiduciary] = true
		}
	}
	if answers == 0 {
		return nil
	}
	said := "released, or it may be"
	if uint64(len(answerers)) < held.order.threshold() {
		said = "partly answered"
	}
	return refuse("claim", "%s: by height %d %d answers were taken, from %d fiduciaries where it takes %d",
		said, upTo, answers, len(answerers), held.order.threshold())
}

// threshold is the lowest under which an answer was taken, or the order's where none was.
func (held *order) threshold() uint64 {
	if lowest := held.record.number("answer_threshold"); lowest > 0 {
		return lowest
	}
	return held.record.number("threshold")
}
