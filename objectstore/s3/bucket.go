package s3

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// bucketWarnings looks for rules of the bucket that work against the store. Many services do not tell, and many
// credentials may not ask: that is no warning.
func (s *Store) bucketWarnings(ctx context.Context) []string {
	var warnings []string
	err := s.do(ctx, call{verb: "get_lifecycle", final: []outcome{outcomeServer}}, func(ctx context.Context) error {
		out, err := s.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &s.options.Bucket})
		if err == nil {
			warnings = lifecycleWarnings(out.Rules, s.prefix)
		}
		return err
	})
	if err != nil {
		s.log.Debug("the bucket's lifecycle rules cannot be read", "place", s.place, "error", err)
	}
	versioned := false
	err = s.do(ctx, call{verb: "get_versioning", final: []outcome{outcomeServer}}, func(ctx context.Context) error {
		out, err := s.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.options.Bucket})
		if err == nil {
			versioned = out.Status == types.BucketVersioningStatusEnabled
		}
		return err
	})
	if err != nil {
		s.log.Debug("the bucket's versioning cannot be read", "place", s.place, "error", err)
	}
	if versioned {
		warnings = append(warnings, "the bucket keeps old versions: what is deleted takes up space until a lifecycle rule removes noncurrent versions")
	}
	return warnings
}

// lifecycleWarnings names the rules that delete live objects below the prefix.
func lifecycleWarnings(rules []types.LifecycleRule, prefix string) []string {
	var warnings []string
	for _, rule := range rules {
		covered, every := ruleCovers(rule)
		overlaps := strings.HasPrefix(prefix, covered) || strings.HasPrefix(covered, prefix)
		expires := rule.Expiration != nil && (rule.Expiration.Days != nil || rule.Expiration.Date != nil)
		if rule.Status == types.ExpirationStatusEnabled && every && overlaps && expires {
			warnings = append(warnings, fmt.Sprintf("the bucket's lifecycle rule %q deletes objects below %q by their age, also live ones: remove it",
				aws.ToString(rule.ID), covered))
		}
	}
	return warnings
}

// ruleCovers returns the prefix of the keys that a rule is about. every: it does not ask for tags, which no object here has.
func ruleCovers(rule types.LifecycleRule) (prefix string, every bool) {
	filter := rule.Filter
	switch {
	case filter == nil:
		//lint:ignore SA1019 rules that were made long ago still have it
		return aws.ToString(rule.Prefix), true
	case filter.And != nil:
		return aws.ToString(filter.And.Prefix), len(filter.And.Tags) == 0
	case filter.Tag != nil:
		return "", false
	}
	return aws.ToString(filter.Prefix), true
}
