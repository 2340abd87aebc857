// Package retrying lets whoever repeats a failed request tell at once whoever waits for it, long before it gives up.
//
// It carries a function in a context: the waiter puts it there, and every loop below it that tries again calls it for each
// failure that it is about to repeat. It repeats nothing itself, and decides nothing.
package retrying

import "context"

type key struct{}

// Watch returns a context under which failed is called with each failure that is about to be repeated, from whichever
// goroutine works on it, until the work that got the context has returned. A watch inside another one takes its place.
func Watch(ctx context.Context, failed func(error)) context.Context {
	return context.WithValue(ctx, key{}, failed)
}

// Failed tells the one who watches, if anybody does, that an attempt has failed and that there will be another.
func Failed(ctx context.Context, err error) {
	if failed, ok := ctx.Value(key{}).(func(error)); ok {
		failed(err)
	}
}
