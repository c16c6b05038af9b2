package main

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// point is a point of either group, in the operations that a proof needs.
type point interface {
	times(scalar *big.Int) point
	plus(other point) point
	encode() []byte
}

type inG1 struct{ p bls.G1Affine }
type inG2 struct{ p bls.G2Affine }

func (a inG1) times(scalar *big.Int) point {
	var out inG1
	out.p.ScalarMultiplication(&a.p, scalar)
	return out
}

func (a inG1) plus(other point) point {
	var out inG1
	b := other.(inG1).p
	out.p.Add(&a.p, &b)
	return out
}

func (a inG1) encode() []byte {
	encoded := a.p.Bytes()
	return encoded[:]
}

func (a inG2) times(scalar *big.Int) point {
	var out inG2
	out.p.ScalarMultiplication(&a.p, scalar)
	return out
}

func (a inG2) plus(other point) point {
	var out inG2
	b := other.(inG2).p
	out.p.Add(&a.p, &b)
	return out
}

func (a inG2) encode() []byte {
	encoded := a.p.Bytes()
	return encoded[:]
}

// decodeG1 takes the canonical encoding of a point of the subgroup, and not the identity.
func decodeG1(data []byte) (inG1, error) {
	var out inG1
	if len(data) != bls.SizeOfG1AffineCompressed {
		return out, errors.New("a point of G1 has another length")
	}
	if _, err := out.p.SetBytes(data); err != nil {
		return out, err
	}
	if out.p.IsInfinity() || !bytes.Equal(out.encode(), data) {
		return out, errors.New("the identity, or not canonical")
	}
	return out, nil
}

// decodeG2 is decodeG1 of the other group.
func decodeG2(data []byte) (inG2, error) {
	var out inG2
	if len(data) != bls.SizeOfG2AffineCompressed {
		return out, errors.New("a point of G2 has another length")
	}
	if _, err := out.p.SetBytes(data); err != nil {
		return out, err
	}
	if out.p.IsInfinity() || !bytes.Equal(out.encode(), data) {
		return out, errors.New("the identity, or not canonical")
	}
	return out, nil
}

func decode(group string, data []byte) (point, error) {
	switch group {
	case "G1":
		return decodeG1(data)
	case "G2":
		return decodeG2(data)
	}
	return nil, fmt.Errorf("no group is called %q", group)
}

func generator(group string) point {
	_, _, g1, g2 := bls.Generators()
	if group == "G1" {
		return inG1{g1}
	}
	return inG2{g2}
}

// tagged is the length-prefixed form of everything that is hashed.
func tagged(tag string, parts ...[]byte) []byte {
	var out []byte
	for _, part := range append([][]byte{[]byte(tag)}, parts...) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

func challenge(transcript []byte) *big.Int {
	digest := sha512.Sum384(transcript)
	return new(big.Int).Mod(new(big.Int).SetBytes(digest[:]), fr.Modulus())
}

// verifySignature follows draft-irtf-cfrg-bls-signature, CoreVerify, for both choices of groups.
func verifySignature(scheme, tag string, key, message, signature []byte) error {
	_, _, g1, g2 := bls.Generators()
	var left []bls.G1Affine
	var right []bls.G2Affine
	switch scheme {
	case "min-sig":
		publicKey, err := decodeG2(key)
		if err != nil {
			return err
		}
		given, err := decodeG1(signature)
		if err != nil {
			return err
		}
		hashed, err := bls.HashToG1(message, []byte(tag))
		if err != nil {
			return err
		}
		given.p.Neg(&given.p)
		left, right = []bls.G1Affine{hashed, given.p}, []bls.G2Affine{publicKey.p, g2}
	case "min-pk":
		publicKey, err := decodeG1(key)
		if err != nil {
			return err
		}
		given, err := decodeG2(signature)
		if err != nil {
			return err
		}
		hashed, err := bls.HashToG2(message, []byte(tag))
		if err != nil {
			return err
		}
		g1.Neg(&g1)
		left, right = []bls.G1Affine{publicKey.p, g1}, []bls.G2Affine{hashed, given.p}
	default:
		return fmt.Errorf("no scheme is called %q", scheme)
	}
	good, err := bls.PairingCheck(left, right)
	if err == nil && !good {
		err = errors.New("the pairings differ")
	}
	return err
}

// bytesOf is hexadecimal in JSON.
type bytesOf []byte

func (b *bytesOf) UnmarshalText(text []byte) error {
	decoded, err := hex.DecodeString(string(text))
	*b = decoded
	return err
}
