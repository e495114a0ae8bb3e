package collector

import "time"

// updatePace updates the pace with the images in turns that were read since the snapshot before s, and sets s.Round
// from it. A run that read none does not change the pace, so that the images that wait become stale.
func (p *shardState) updatePace(s *Snapshot) {
	all, read := 0, 0
	for i := range s.Images {
		img := &s.Images[i]
		if !img.InTurns {
			continue
		}
		all++
		if img.Taken.IsZero() && !img.Waiting && (img.Coverage != Unread || !notRequested(img.Err)) {
			read++
		}
	}
	if p.last == nil {
		p.pace = 0
	} else if elapsed := s.Start.Sub(p.last.Start).Seconds(); elapsed > 0 && read > 0 {
		pace := float64(read) / elapsed
		if p.pace > 0 {
			pace = p.pace + (pace-p.pace)/4 // one run may be slow, or late
		}
		p.pace = pace
	}
	if p.pace > 0 {
		s.Round = time.Duration(float64(all) / p.pace * float64(time.Second))
	}
}
