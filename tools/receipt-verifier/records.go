package main

import (
	"bytes"
	_ "embed"
	"errors"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// The ledger's records and transactions as proto/dta/v1 declares them: scripts/proto.sh makes the file.
//
//go:embed records.binpb
var declared []byte

var declarations = func() *protoregistry.Files {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(declared, &set); err != nil {
		panic(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		panic(err)
	}
	return files
}()

// record is a message of the ledger; its fields are read by their names in proto/dta/v1.
type record struct{ protoreflect.Message }

var errNotCanonical = errors.New("not the canonical encoding of a record that this version knows")

// readRecord takes the one canonical encoding, and no field that proto/dta/v1 does not declare.
func readRecord(name string, encoded []byte) (record, error) {
	found, err := declarations.FindDescriptorByName(protoreflect.FullName("dta.v1." + name))
	if err != nil {
		panic(err)
	}
	message := dynamicpb.NewMessage(found.(protoreflect.MessageDescriptor))
	if err := proto.Unmarshal(encoded, message); err != nil {
		return record{}, errNotCanonical
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil || !bytes.Equal(again, encoded) || hasUnknown(message) {
		return record{}, errNotCanonical
	}
	return record{message}, nil
}

func hasUnknown(message protoreflect.Message) bool {
	unknown := len(message.GetUnknown()) > 0
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Message() == nil {
			return true
		}
		if !field.IsList() {
			unknown = unknown || hasUnknown(value.Message())
			return true
		}
		for index := 0; index < value.List().Len(); index++ {
			unknown = unknown || hasUnknown(value.List().Get(index).Message())
		}
		return true
	})
	return unknown
}

func (of record) get(name string) protoreflect.Value {
	return of.Get(of.Descriptor().Fields().ByName(protoreflect.Name(name)))
}

func (of record) bytes(name string) []byte           { return of.get(name).Bytes() }
func (of record) text(name string) string            { return of.get(name).String() }
func (of record) number(name string) uint64          { return of.get(name).Uint() }
func (of record) enum(name string) int32             { return int32(of.get(name).Enum()) }
func (of record) list(name string) protoreflect.List { return of.get(name).List() }
func (of record) record(name string) record          { return record{of.get(name).Message()} }

func (of record) has(name string) bool {
	return of.Descriptor().Fields().ByName(protoreflect.Name(name)) != nil
}

// chosen is the message of a oneof's field that is set.
func (of record) chosen(oneof string) (record, bool) {
	field := of.WhichOneof(of.Descriptor().Oneofs().ByName(protoreflect.Name(oneof)))
	if field == nil {
		return record{}, false
	}
	return record{of.Get(field).Message()}, true
}
