package app

import (
	"context"
	"fmt"

	"drumlin/internal/config"
	"drumlin/objectstore/file"
	"drumlin/objectstore/s3"
)

// openObjects opens the object store that the whole cluster shares.
func (s *server) openObjects(ctx context.Context) error {
	c := s.config.Objects
	if c.Type == config.ObjectsFile {
		store, err := file.Open(c.Dir)
		if err != nil {
			return fmt.Errorf("objects.dir: %w", err)
		}
		s.objects = store
		return nil
	}
	return s.openS3(ctx)
}

// openS3 opens the bucket and finds out what its service can do, as soon as it answers.
func (s *server) openS3(ctx context.Context) error {
	c := s.config.Objects.S3
	certificates, err := s.clientTLS("objects.s3.tls", c.TLS)
	if err != nil {
		return err
	}
	store, err := s3.Open(ctx, s3.Options{
		Bucket: c.Bucket, Prefix: c.Prefix, Region: c.Region, Endpoint: c.Endpoint, PathStyle: c.PathStyle,
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
		MaxAttempts: c.MaxAttempts, RequestTimeout: c.RequestTimeout, PartBytes: int64(c.PartBytes), Concurrency: c.Concurrency,
		TLS: certificates, Logger: s.world.Logger, Registerer: s.registry,
	})
	if err != nil {
		return fmt.Errorf("objects.s3: %w", err)
	}
	s.objects = store
	s.running.started("object store", func(context.Context) error { store.Close(); return nil })
	return s.until(ctx, "the object store "+objectsPlace(s.config.Objects), func(ctx context.Context) error {
		support, err := store.Probe(ctx)
		if err != nil {
			return err
		}
		s.world.Logger.Info("the object store answers", "place", objectsPlace(s.config.Objects), "support", support.String())
		for _, warning := range support.Warnings {
			s.world.Logger.Warn(warning)
		}
		return nil
	}, func(error) bool { return false })
}

// objectsPlace tells people where segments lie.
func objectsPlace(c config.Objects) string {
	if c.Type == config.ObjectsFile {
		return c.Dir
	}
	place := "s3://" + c.S3.Bucket
	if c.S3.Prefix != "" {
		place += "/" + c.S3.Prefix
	}
	if c.S3.Endpoint != "" {
		place += " at " + c.S3.Endpoint
	}
	return place
}
