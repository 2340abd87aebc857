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
	clusterKey  = "drumlin-cluster"
)

// guard stands before every answer: it lets in who may ask, and means this cluster, and turns a panic into an error.
type guard struct {
	access  *secure.Access
	cluster string // empty: not looked at
	log     *slog.Logger
}

func (g *guard) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer g.caught(info.FullMethod, &err)
	if err := g.admit(stream.Context(), info.FullMethod); err != nil {
		return toStatus(err)
	}
	return handle(service, stream)
}

func (g *guard) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (_ any, err error) {
	defer g.caught(info.FullMethod, &err)
	if err := g.admit(ctx, info.FullMethod); err != nil {
		return nil, toStatus(err)
	}
	return handle(ctx, request)
}

func (g *guard) admit(ctx context.Context, method string) error {
	if method == grpc_health_v1.Health_Check_FullMethodName {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx) // nil: there is none
	if g.access != nil {
		presented := ""
		if values := md.Get(tokenKey); len(values) == 1 && strings.HasPrefix(values[0], tokenPrefix) {
			presented = strings.TrimPrefix(values[0], tokenPrefix)
		}
		if _, err := g.access.Authorize(presented, secure.RoleAdmin); err != nil {
			return err
		}
	}
	if asked := md.Get(clusterKey); g.cluster != "" && len(asked) > 0 && asked[0] != g.cluster {
		return fmt.Errorf("the cluster %s is asked, and this process is one of %s: %w", asked[0], g.cluster, ErrOtherCluster)
	}
	return nil
}

func (g *guard) caught(method string, err *error) {
	if p := recover(); p != nil {
		g.log.Error("a panic while another process was answered", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = toStatus(ErrInternal)
	}
}
