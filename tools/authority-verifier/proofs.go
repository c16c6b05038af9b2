package main

import (
	"bytes"
	"errors"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

type term struct {
	Base    bytesOf
	Witness int
}

type equation struct {
	Group string
	Image bytesOf
	Terms []term
}

type proofCase struct {
	Name       string
	Tag        string
	Equations  []equation
	Context    []bytesOf
	Transcript bytesOf
	Challenge  bytesOf
	Proof      bytesOf
}

// verify checks the proof, and that transcript and challenge are the ones that the file gives.
func (c proofCase) verify() error {
	rest := []byte(c.Proof)
	covered := make([][]byte, 0, len(c.Context)+len(c.Equations))
	for _, part := range c.Context {
		covered = append(covered, part)
	}
	announcements := make([][]byte, len(c.Equations))
	for i, each := range c.Equations {
		size := len(generator(each.Group).encode())
		if len(rest) < size {
			return errors.New("the proof is too short")
		}
		announcements[i], rest = rest[:size], rest[size:]
	}
	responses, err := scalars(rest)
	if err != nil {
		return err
	}
	transcript := tagged(c.Tag, append(covered, announcements...)...)
	if !bytes.Equal(transcript, c.Transcript) {
		return errors.New("the transcript differs")
	}
	ch := challenge(transcript)
	if !bytes.Equal(ch.FillBytes(make([]byte, 32)), c.Challenge) {
		return errors.New("the challenge differs")
	}
	for i, each := range c.Equations {
		if err := each.holds(announcements[i], responses, ch); err != nil {
			return err
		}
	}
	return nil
}

func (e equation) holds(announcement []byte, responses []*big.Int, ch *big.Int) error {
	image, err := decode(e.Group, e.Image)
	if err != nil {
		return err
	}
	if _, err := decode(e.Group, announcement); err != nil {
		return err
	}
	sum := image.times(new(big.Int).Sub(fr.Modulus(), ch))
	for _, each := range e.Terms {
		base, err := decode(e.Group, each.Base)
		if err != nil {
			return err
		}
		if each.Witness < 0 || each.Witness >= len(responses) {
			return errors.New("a witness has no response")
		}
		sum = sum.plus(base.times(responses[each.Witness]))
	}
	if !bytes.Equal(sum.encode(), announcement) {
		return errors.New("an equation does not hold")
	}
	return nil
}

func scalars(data []byte) ([]*big.Int, error) {
	if len(data) == 0 || len(data)%32 != 0 {
		return nil, errors.New("the responses have another length")
	}
	var out []*big.Int
	for ; len(data) > 0; data = data[32:] {
		scalar := new(big.Int).SetBytes(data[:32])
		if scalar.Cmp(fr.Modulus()) >= 0 {
			return nil, errors.New("a response is not reduced")
		}
		out = append(out, scalar)
	}
	return out, nil
}
