package retrying_test

import (
	"context"
	"errors"
	"testing"

	"drumlin/internal/retrying"
)

func TestWatch(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	retrying.Failed(t.Context(), one) // nobody watches
	var heard, inner []error
	ctx := retrying.Watch(t.Context(), func(err error) { heard = append(heard, err) })
	below, cancel := context.WithCancel(ctx)
	defer cancel()
	retrying.Failed(below, one)
	retrying.Failed(retrying.Watch(below, func(err error) { inner = append(inner, err) }), two)
	if len(heard) != 1 || heard[0] != one || len(inner) != 1 || inner[0] != two {
		t.Errorf("heard %v, and inside %v", heard, inner)
	}
}
