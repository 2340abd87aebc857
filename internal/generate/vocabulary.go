package generate

// eventKind says which properties a track event has.
type eventKind uint8

const (
	kindPlain eventKind = iota
	kindProduct
	kindOrder
	kindSearch
	kindMedia
	kindForm
)

type trackEvent struct {
	name string
	kind eventKind
}

// trackEvents are the names of track events, the frequent ones first.
var trackEvents = [...]trackEvent{
	{"Product Viewed", kindProduct},
	{"Button Clicked", kindPlain},
	{"Product List Viewed", kindSearch},
	{"Products Searched", kindSearch},
	{"Product Added", kindProduct},
	{"Link Clicked", kindPlain},
	{"Video Playback Started", kindMedia},
	{"Cart Viewed", kindPlain},
	{"Promotion Viewed", kindPlain},
	{"Product Removed", kindProduct},
	{"Video Playback Completed", kindMedia},
	{"Checkout Started", kindOrder},
	{"Form Submitted", kindForm},
	{"Checkout Step Completed", kindOrder},
	{"Order Completed", kindOrder},
	{"Signed In", kindPlain},
	{"Product Reviewed", kindForm},
	{"Coupon Applied", kindOrder},
	{"Wishlist Product Added", kindProduct},
	{"Signed Up", kindForm},
	{"Article Shared", kindMedia},
	{"Signed Out", kindPlain},
	{"Order Refunded", kindOrder},
	{"Order Cancelled", kindOrder},
}

type device struct {
	mobile                   bool
	sdk, version             string
	userAgent, os, osVersion string
	kind, maker, model       string
}

var devices = [...]device{
	{
		false, "analytics.js", "4.2.1", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0.0.0 Safari/537.36",
		"Windows", "10", "desktop", "Dell", "XPS 13",
	},
	{
		false, "analytics.js", "4.2.1", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.1 Safari/605.1.15",
		"macOS", "15.1", "desktop", "Apple", "MacBook Air",
	},
	{
		false, "analytics.js", "4.1.0", "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
		"Linux", "6.8", "desktop", "Lenovo", "ThinkPad X1",
	},
	{
		true, "analytics-ios", "2.7.0", "ShopApp/7.31 (iPhone16,2; iOS 18.1)",
		"iOS", "18.1", "phone", "Apple", "iPhone 15 Pro Max",
	},
	{
		true, "analytics-ios", "2.6.4", "ShopApp/7.28 (iPad13,8; iPadOS 17.6)",
		"iPadOS", "17.6", "tablet", "Apple", "iPad Pro 12.9\\\"",
	},
	{
		true, "analytics-android", "3.0.2", "ShopApp/7.31 (SM-S921B; Android 14)",
		"Android", "14", "phone", "Samsung", "Galaxy S24",
	},
	{
		true, "analytics-android", "2.9.9", "ShopApp/7.02 (Redmi Note 12; Android 13)",
		"Android", "13", "phone", "Xiaomi", "Redmi Note 12",
	},
}

type locale struct{ name, zone string }

var locales = [...]locale{
	{"en-US", "America/New_York"},
	{"en-GB", "Europe/London"},
	{"de-DE", "Europe/Berlin"},
	{"fr-FR", "Europe/Paris"},
	{"es-MX", "America/Mexico_City"},
	{"pt-BR", "America/Sao_Paulo"},
	{"ja-JP", "Asia/Tokyo"},
	{"hi-IN", "Asia/Kolkata"},
	{"nl-NL", "Europe/Amsterdam"},
}

type campaign struct{ source, medium, name string }

var campaigns = [...]campaign{
	{"newsletter", "email", "autumn-sale"},
	{"search", "cpc", "brand"},
	{"search", "cpc", "garden \\u0026 home"},
	{"social", "paid", "lookalike-2"},
	{"partner", "referral", "blog-élan"},
}

var categories = [...]string{
	"garden", "kitchen", "books", "toys", "shoes", "lighting", "fahrräder", "おもちゃ", "outdoor", "music",
}

var searchWords = [...]string{
	"lamp", "red shoes", "tent 4 person", "\\\"exact words\\\"", "crème brûlée", "usb-c cable", "garden chair", "puzzle", "🎁 gift",
	"bike helmet",
}
