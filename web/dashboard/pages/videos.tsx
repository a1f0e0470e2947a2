// How videos are watched.
import type { Trend, Video } from '../answers.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { stamp, Watching } from '../charts/watching.tsx'
import { Card, Receipt, Table } from '../parts.tsx'
import { changed, parameter, since } from '../route.ts'
import { number } from '../words.ts'

export function Videos() {
  const body = { measure: 'users', breakdown: 'video_id', seriesCount: 20, window: since(), where: [{ field: 'event_type', values: ['video_playback'] }] }
  const videos = useAnswer<Trend>('/api/analytics/trends', body)
  return (
    <Answer of={videos}>
      {({ series, receipt }) => {
        const known = series.filter(({ name, isOther }) => name && !isOther)
        const shown = parameter('video') || known[0]?.name
        return (
          <div class="grid">
            {shown && <One id={shown} />}
            <Card title="Videos" isWide>
              {known.length ? (
                <Table caption="Videos by users" rows={known} columns={[{ name: 'Video', of: ({ name }) => <a href={changed({ video: name })}>{name}</a> }, { name: 'Users', of: ({ total }) => number(total), isNumber: true }]} />
              ) : (
                <Empty command="http://127.0.0.1:8080/demo">Nobody watched a video in these days. The demo shop has one:</Empty>
              )}
              <Receipt of={receipt} question="trends" body={body} />
            </Card>
          </div>
        )
      }}
    </Answer>
  )
}

function One({ id }: { id: string }) {
  const video = useAnswer<Video>(`/api/videos/${encodeURIComponent(id)}`)
  return (
    <Card title={id} isWide>
      <Answer of={video}>
        {(found) => (
          <>
            <Watching video={found} />
            {found.dropOffs.length > 0 && <p>Many stopped at {found.dropOffs.map(({ startSeconds }) => stamp(startSeconds)).join(', ')}.</p>}
            {found.replayHotSpots.length > 0 && <p>Many replayed {found.replayHotSpots.map(({ startSeconds, endSeconds }) => `${stamp(startSeconds)} to ${stamp(endSeconds)}`).join(', ')}.</p>}
          </>
        )}
      </Answer>
    </Card>
  )
}
