package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// The picture: for each workload a bar for each client, as long as the logarithm of its CPU time over ours.
const (
	chartWorkers = 8 // the cell of each workload that is shown

	left, right  = 330, 70 // of the bars
	width        = 900
	bar, gap     = 13, 14
	most         = 100.0 // the end of the scale
	least        = 0.1   // and its beginning
	chartHeading = 46
)

var colours = map[string]string{undecoded: "#b8bfc9", sameEngine: "#7d93b5", standard: "#4f6d9c", python: "#d0a03c", typescript: "#b3653a"}

// x is where a ratio stands.
func x(ratio float64) float64 {
	ratio = min(max(ratio, least), most)
	return left + (width-left-right)*(math.Log10(ratio)-math.Log10(least))/(math.Log10(most)-math.Log10(least))
}

func (r *results) chart() []byte {
	var b bytes.Buffer
	y := float64(chartHeading)
	write := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, w := range workloads {
		c := r.cell(w.name, chartWorkers)
		if c == nil {
			continue
		}
		y += gap
		write(`<text class="strong" x="16" y="%.1f">%s</text>`, y+bar-3, html.EscapeString(w.name))
		write(`<text class="weak" x="16" y="%.1f">letta-go: %s</text>`, y+2*bar, micro(median(c.client(ours).CPU)))
		for _, client := range clients[1:] {
			ratio, ok := c.ratio(client, ours)
			if !ok {
				continue
			}
			from, to := x(1), x(ratio.median)
			write(`<text x="%d" y="%.1f" text-anchor="end">%s</text>`, left-10, y+bar-3, html.EscapeString(client))
			write(`<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>`, min(from, to), y, max(1, math.Abs(to-from)), bar-2, colours[client])
			write(`<path class="line" d="M%.1f %.1fH%.1f"/>`, x(ratio.low), y+float64(bar-2)/2, x(ratio.high))
			write(`<text x="%.1f" y="%.1f">%s</text>`, max(from, x(ratio.high))+5, y+bar-3, figure(ratio.median))
			y += bar
		}
	}
	bars, bottom := b.String(), y+8
	b.Reset() // the grid lies below the bars
	for _, tick := range []float64{0.1, 1, 10, 100} {
		class := "grid"
		if tick == 1 {
			class = "one"
		}
		write(`<path class="%s" d="M%.1f %dV%.1f"/>`, class, x(tick), chartHeading, bottom)
		write(`<text class="weak" x="%.1f" y="%.1f" text-anchor="middle">%g</text>`, x(tick), bottom+14, tick)
	}
	b.WriteString(bars)
	height := bottom + 26
	title := fmt.Sprintf("CPU time of a call, as a multiple of letta-go's, %d workers", chartWorkers)
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" width="%d" height="%.0f" font-family="system-ui, sans-serif" font-size="11" role="img" aria-label="%s">
<style>
  text { fill: #24292f } .weak { fill: #6b7480 } .strong { font-weight: 600; font-size: 12px }
  .grid { stroke: #d6dae0 } .one { stroke: #24292f } .line { stroke: #24292f; stroke-opacity: .55; stroke-width: 1.5; fill: none } .back { fill: #fff }
  @media (prefers-color-scheme: dark) { text { fill: #dde2e8 } .weak { fill: #9aa4b0 } .grid { stroke: #3a414a } .one { stroke: #dde2e8 } .line { stroke: #dde2e8 } .back { fill: #0d1117 } }
</style>
<rect class="back" width="100%%" height="100%%"/>
<text class="strong" x="16" y="24">%s</text>
<text class="weak" x="16" y="40">medians; the thin line is the spread over the rounds; logarithmic scale</text>
`, width, height, width, height, html.EscapeString(title), html.EscapeString(title))
	return append(append([]byte(head), b.Bytes()...), "</svg>\n"...)
}
