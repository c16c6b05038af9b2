package main

import (
	"bytes"
	"encoding/binary"
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
	if c.Tag == dealingTag {
		return c.provesTheDealing(len(responses))
	}
	return nil
}

const dealingTag = "DTA-v1-proof-dealing"

// provesTheDealing checks that the equations are those of the dealing in the context: of every commitment and of E, each
// with a response of its own.
func (c proofCase) provesTheDealing(responses int) error {
	const fixed = 4 // record, dealer, u32(dealer's index), u32(t); then C_0 to C_{t-1}, E
	if len(c.Context) < fixed || len(c.Context[fixed-1]) != 4 {
		return errors.New("no dealing in the context")
	}
	proved := int(binary.BigEndian.Uint32(c.Context[fixed-1])) + 1
	if len(c.Context) < fixed+proved || len(c.Equations) != proved || responses != proved {
		return errors.New("not every coefficient is proved")
	}
	g1 := generator("G1").encode()
	for i, each := range c.Equations {
		own := len(each.Terms) == 1 && each.Terms[0].Witness == i && bytes.Equal(each.Terms[0].Base, g1)
		if !own || each.Group != "G1" || !bytes.Equal(each.Image, c.Context[fixed+i]) {
			return errors.New("not every coefficient is proved")
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
