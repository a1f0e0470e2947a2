// How many viewers saw each second of a video, and how often it was played: what lies above the first is replays.
import type { Video } from '../answers.ts'
import { Chart, Drawing } from '../parts.tsx'
import { counted, number, share } from '../words.ts'

const HEIGHT = 200
const LEFT = 40

export const stamp = (second: number): string => `${Math.floor(second / 60)}:${String(Math.floor(second % 60)).padStart(2, '0')}`

export function Watching({ video }: { video: Video }) {
  const { retention, dropOffs, replayHotSpots, viewerCount } = video
  const last = retention.at(-1)
  const top = Math.max(1, ...retention.map(({ playCount }) => playCount))
  const summary = `${counted(viewerCount, 'viewer')}; ${share(last?.retentionRatio ?? 0)} of them saw second ${stamp(last?.second ?? 0)}, the last that was watched.`
  return (
    <Chart
      title="Retention"
      summary={summary}
      rows={retention}
      columns={[
        { name: 'At', of: ({ second }) => stamp(second), isNumber: true },
        { name: 'Viewers', of: (point) => number(point.viewerCount), isNumber: true },
        { name: 'Share', of: ({ retentionRatio }) => share(retentionRatio), isNumber: true },
        { name: 'Plays', of: ({ playCount }) => number(playCount), isNumber: true },
      ]}
    >
      <Drawing>
        {(width) => {
          const length = Math.max(1, last?.second ?? 0, video.durationSeconds)
          const x = (second: number): number => LEFT + (Math.min(second, length) / length) * (width - LEFT - 8)
          const y = (count: number): number => 8 + (1 - count / top) * (HEIGHT - 32)
          const area = (of: 'viewerCount' | 'playCount'): string => `${LEFT},${y(0)} ${retention.map((point) => `${x(point.second)},${y(point[of])}`).join(' ')} ${x(last?.second ?? 0)},${y(0)}`
          return (
            <svg width={width} height={HEIGHT} aria-hidden="true">
              {[0, top].map((value) => (
                <g class="axis"><line x1={LEFT} x2={width} y1={y(value)} y2={y(value)} /><text x={LEFT - 6} y={y(value) + 4} text-anchor="end">{number(value)}</text></g>
              ))}
              {dropOffs.map(({ startSeconds, endSeconds }) => <rect class="drop" x={x(startSeconds)} width={Math.max(2, x(endSeconds) - x(startSeconds))} y="8" height={HEIGHT - 32} />)}
              {replayHotSpots.map(({ startSeconds, endSeconds }) => <rect class="hot" x={x(startSeconds)} width={Math.max(2, x(endSeconds) - x(startSeconds))} y="2" height="6" rx="3" />)}
              <polygon class="plays" points={area('playCount')} />
              <polygon class="viewers" points={area('viewerCount')} />
              <text class="tick" x={LEFT} y={HEIGHT - 4}>0:00</text>
              <text class="tick" x={width - 8} y={HEIGHT - 4} text-anchor="end">{stamp(length)}</text>
            </svg>
          )
        }}
      </Drawing>
      <ul class="legend"><li class="s0"><Key /> Viewers</li><li class="s1"><Key /> Plays, with replays</li><li class="s2"><Key /> Where many stopped</li><li class="s3"><Key /> Where many replayed</li></ul>
    </Chart>
  )
}

const Key = () => <svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="5" /></svg>
