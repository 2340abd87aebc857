package peer

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"drumlin/internal/secure"
)

const (
	tokenKey    = "authorization"
	tokenPrefix = "Bearer "
)

// guard stands before every answer: it lets in who may ask, and turns a panic into an error.
type guard struct {
	access *secure.Access
	log    *slog.Logger
}

func (g *guard) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer g.caught(info.FullMethod, &err)
	if err := g.authorize(stream.Context(), info.FullMethod); err != nil {
		return toStatus(err)
	}
	return handle(service, stream)
}

func (g *guard) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (_ any, err error) {
	defer g.caught(info.FullMethod, &err)
	if err := g.authorize(ctx, info.FullMethod); err != nil {
		return nil, toStatus(err)
	}
	return handle(ctx, request)
}

func (g *guard) authorize(ctx context.Context, method string) error {
	if method == grpc_health_v1.Health_Check_FullMethodName || g.access == nil {
		return nil
	}
	presented := ""
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		if values := md.Get(tokenKey); len(values) == 1 {
			presented, _ = strings.CutPrefix(values[0], tokenPrefix)
		}
	}
	_, err := g.access.Authorize(presented, secure.RoleAdmin)
	return err
}

func (g *guard) caught(method string, err *error) {
	if p := recover(); p != nil {
		g.log.Error("a panic while another process was answered", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = toStatus(ErrInternal)
	}
}
