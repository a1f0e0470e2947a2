// Whether what the model said came true: its reliability, and its calibration over time.
import type { Calibration as Found, CalibrationSpan } from '../answers.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { points } from '../charts/intervals.tsx'
import { Reliability } from '../charts/reliability.tsx'
import { Spans } from '../charts/spans.tsx'
import { Card, Choice, Receipt } from '../parts.tsx'
import { days, parameter, since } from '../route.ts'
import { counted, number, share } from '../words.ts'

const SILENT = ['1', '7', '14', '30']

export function Calibration() {
  // 0: those that the model tells of, so nothing that was told is judged by something else.
  const silentDays = Number(parameter('silent')) || 0
  // What was predicted in the days that the reader chose is known after these days only: so it looks back as far again.
  const body = { window: since(days.value + (silentDays || 14)), silentDays, interval: days.value > 14 ? 'week' : 'day', modelVersion: parameter('version') }
  const asked = useAnswer<Found>('/api/analytics/calibration', body)
  return (
    <Card title="Did it come true?" isWide side={<Choice label="No event for" name="silent" value={String(silentDays)} options={[['0', 'as the model tells'], ...SILENT.map((count): [string, string] => [count, counted(Number(count), 'day')])]} />}>
      <Answer of={asked}>
        {(found) => (
          <>
            <Told of={found} />
            <Receipt of={found.receipt} question="calibration" body={body} />
          </>
        )}
      </Answer>
    </Card>
  )
}

function Told({ of }: { of: Found }) {
  const { versions, modelVersion, leastCount, oneIn } = of
  const whole = of.spans.find(({ isWhole }) => isWhole)
  if (!whole?.predictionCount) return <Empty>No model has predicted anything in these days.</Empty>
  const spans = of.spans.filter(({ isWhole }) => !isWhole)
  return (
    <>
      {versions.length > 1 && <Choice label="Model" name="version" value={modelVersion} options={versions.map((each) => [each.modelVersion, `${each.modelVersion}: ${counted(each.predictionCount, 'prediction')}`])} />}
      <p>
        {counted(whole.predictionCount, 'prediction')} of <code>{modelVersion}</code>. {counted(whole.knownCount, 'outcome')} of {counted(whole.userCount, 'user')} known;{' '}
        {number(whole.waitingCount)} still {whole.waitingCount === 1 ? 'waits' : 'wait'} for theirs, and {whole.waitingCount === 1 ? 'is' : 'are'} left out.
        {oneIn > 1 && ` One in ${number(oneIn)} users was taken.`}
      </p>
      <Judged of={of} whole={whole} />
      {whole.gap ? <Measured whole={whole} spans={spans} /> : of.isOtherOutcome ? null : <Empty>It needs {counted(leastCount, 'outcome')}, and {number(whole.knownCount)} {whole.knownCount === 1 ? 'is' : 'are'} known.</Empty>}
    </>
  )
}

/** What predictions are judged by: what was told, or what the model said where nothing was. */
function Judged({ of, whole }: { of: Found; whole: CalibrationSpan }) {
  const { outcome, silentDays, isOtherOutcome } = of
  if (isOtherOutcome) return <Empty>What was told is the probability of “{outcome}”. {counted(silentDays, 'day')} without an event {silentDays === 1 ? 'is' : 'are'} something else, so nothing is measured here.</Empty>
  const { toldCount, knownCount } = whole
  if (!knownCount) return null
  if (!toldCount) return <p class="small">No probability was told: what the model said is judged, by {counted(silentDays, 'day')} without an event.</p>
  const others = knownCount - toldCount
  return (
    <p class="small">
      Of {counted(toldCount, 'prediction')} the probability that was told is judged{others > 0 && `, of ${number(others)} others what the model said`}: “{outcome}”.
    </p>
  )
}

function Measured({ whole, spans }: { whole: CalibrationSpan; spans: readonly CalibrationSpan[] }) {
  const { gap, error, predicted, cameTrue } = whole
  if (!gap || !error) return null
  const verdict = gap.lower <= 0 && gap.upper >= 0 ? 'That is no more than chance.' : gap.value > 0 ? 'The model expects too little.' : 'The model expects too much.'
  return (
    <>
      <p>It predicted {share(predicted ?? 0)}, and {share(cameTrue ?? 0)} came true: {points(gap.value)}, between {points(gap.lower)} and {points(gap.upper)}. {verdict}</p>
      <div class="beside">
        <Reliability bins={whole.bins} />
        <div>
          <Spans title="Came true less predicted" summary="Calibration-in-the-large: above 0, more came true than was predicted." spans={spans} of={(span) => span.gap} said={points} />
          <Spans title="Calibration error" summary={`Calibration error: how far probability and share are apart on average, ${share(error.value)} over all.`} spans={spans} of={(span) => span.error} said={share} />
        </div>
      </div>
    </>
  )
}
