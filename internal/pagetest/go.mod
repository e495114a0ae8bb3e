module glance_share_exporter/internal/pagetest

go 1.26.0

replace glance_share_exporter => ../..

require (
	github.com/chromedp/cdproto v0.159.3
	github.com/chromedp/chromedp v0.23.0
	glance_share_exporter v0.0.0-00010101000000-000000000000
)

require github.com/go-json-experiment/json v1.27.2 // indirect
