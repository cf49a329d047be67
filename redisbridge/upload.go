package redisbridge

import (
	"context"
	"fmt"

	"chatcache/redisbridge/wire"
)

// Piece adds a piece to an upload. The error matches ErrRequest, wire.ErrEntry, ErrTooLarge,
// ErrUpload, ErrTooMany or ErrRedis.
func (b *Bridge) Piece(ctx context.Context, m wire.PieceRequest) (wire.Ack, error) {
	if _, err := b.policyOf(m.Scope); err != nil {
		return wire.Ack{}, err
	}
	if err := checkPiece(m); err != nil {
		return wire.Ack{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.storeTimeout)
	defer cancel()
	var added int
	err := b.try(callSpared, func() (err error) {
		added, err = b.scripts.piece.Run(ctx, b.redis, []string{wire.UploadKey(m.Key, m.Upload)}, m.Offset, m.Bytes, wire.UploadLife).Int()
		return redisError(err)
	})
	if err == nil && added == 0 {
		err = fmt.Errorf("%w: a piece that begins at byte %d", ErrUpload, m.Offset)
	}
	return wire.Ack{}, err
}

func checkPiece(m wire.PieceRequest) error {
	if err := checkUpload(m.Key, m.Policy, m.Upload); err != nil {
		return err
	}
	if size := m.Offset + int64(len(m.Bytes)); size > wire.MaxEntry {
		return fmt.Errorf("%w: entry of %d bytes or more, at most %d", ErrTooLarge, size, wire.MaxEntry)
	}
	if len(m.Bytes) == 0 {
		return fmt.Errorf("%w: piece without bytes", ErrRequest)
	}
	if m.Offset > 0 {
		return nil
	}
	entry, err := wire.DecodeEntry(m.Bytes)
	if err != nil {
		return err
	}
	if err := checkTTL(entry.TTL); err != nil {
		return err
	}
	return checkTicket(entry)
}

func checkUpload(key, policy, id string) error {
	if err := checkKey(key, policy); err != nil {
		return err
	}
	if id == "" {
		return fmt.Errorf("%w: upload without an id", ErrRequest)
	}
	return checkPlain("upload id", id)
}

// Commit makes an upload the entry, in one step with the end of the fetch lease. Like every
// entry it is judged when it is looked up. A commit that is repeated finds no upload any more. The error
// matches ErrRequest, ErrUpload, ErrTooMany or ErrRedis.
func (b *Bridge) Commit(ctx context.Context, m wire.CommitRequest) (wire.Ack, error) {
	p, err := b.policyOf(m.Scope)
	if err != nil {
		return wire.Ack{}, err
	}
	if err := checkUpload(m.Key, m.Policy, m.Upload); err != nil {
		return wire.Ack{}, err
	}
	if m.Size < 1 {
		return wire.Ack{}, fmt.Errorf("%w: commit of an upload of %d bytes", ErrRequest, m.Size)
	}
	if err := checkTTL(m.TTL); err != nil {
		return wire.Ack{}, err
	}
	return wire.Ack{}, b.keep(ctx, p, storing{
		key: m.Key, fetch: m.Fetch, keys: append(entryKeys(m.Key), wire.UploadKey(m.Key, m.Upload)), entry: m.Size, ttl: m.TTL,
	})
}
