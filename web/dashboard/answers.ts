// What the gateway answers, as /openapi.json describes it; only the members that are shown.
export interface Receipt {
  question: string
  start: string
  end: string
  watermark: string | null
  isUnfinished: boolean
  rowCount: number
  dataVersion: string
  sha256: string
  isCut: boolean
}

export interface Answered {
  receipt: Receipt
}

export interface Kpi {
  name: string
  of: string
  value: number | null
  previousValue: number | null
}

export interface Kpis extends Answered {
  kpis: Kpi[]
}

export interface Series {
  name: string
  isOther: boolean
  total: number
  points: { start: string; value: number; isUnfinished: boolean }[]
}

export interface Trend extends Answered {
  series: Series[]
}

export interface Segments {
  segments: { segmentId: string; name: string; description: string }[]
}

export interface HelpEffect {
  name: string
  of: string
  treated: number | null
  holdout: number | null
  difference: number | null
  lower: number | null
  upper: number | null
}

export interface Effects extends Answered {
  treatedCount: number
  holdoutCount: number
  effects: HelpEffect[]
}

export interface CostPer {
  what: 'thousand_events' | 'decision' | 'offer' | 'added_conversion'
  unitCount: number
  usd: number | null
  lowerUsd: number | null
  upperUsd: number | null
}

export interface Costs extends Answered {
  usd: number
  isPriced: boolean
  days: { start: string; usd: number; parts: { name: string; usd: number }[] }[]
  parts: { name: string; usd: number }[]
  per: CostPer[]
  dailyBudgetUsd: number | null
}

export interface CalibrationFigure {
  value: number
  lower: number
  upper: number
}

export interface CalibrationBin {
  predicted: number
  cameTrue: CalibrationFigure
  knownCount: number
  userCount: number
}

export interface CalibrationSpan {
  start: string
  isWhole: boolean
  predictionCount: number
  waitingCount: number
  knownCount: number
  userCount: number
  predicted: number | null
  cameTrue: number | null
  gap: CalibrationFigure | null
  error: CalibrationFigure | null
  bins: CalibrationBin[]
  toldCount: number
}

export interface Calibration extends Answered {
  spans: CalibrationSpan[]
  modelVersion: string
  versions: { modelVersion: string; predictionCount: number }[]
  oneIn: number
  leastCount: number
  outcome: string
  silentDays: number
  isOtherOutcome: boolean
}

export interface DriftItem {
  kind: 'score' | 'reason'
  name: string
  psi: number
  moved: number
  previousMean: number
  mean: number
  previousShare: number
  share: number
  isNotable: boolean
}

export interface DriftSide {
  predictionCount: number
  userCount: number
  atRiskShare: number | null
  offeredShare: number | null
}

export interface Drift extends Answered {
  items: DriftItem[]
  modelVersion: string
  previous: DriftSide
  current: DriftSide
  oneIn: number
  leastUserCount: number
}

export interface InsightPoint {
  start: string
  observed: number
  expected: number | null
  lower: number | null
  upper: number | null
}

export interface InsightPart {
  metric: string
  opened: string
  closed: string | null
  direction: 'above' | 'below'
  peak: string
  observed: number
  expected: number
  lower: number
  upper: number
  distance: number
  points: InsightPoint[]
}

export interface Insight {
  opened: string
  closed: string | null
  severity: string
  affectedUserHours: number
  parts: InsightPart[]
}

export interface Insights extends Answered {
  incidents: Insight[]
  totalCount: number
  metrics: { metric: string; total: number; judgedHourCount: number; incidentCount: number }[]
  knownSince: string | null
  neededDays: number
}

/** An incident as the watch knows it; its parts have no points. */
export interface WatchedInsight extends Insight {
  insightId: string
  acknowledged: string | null
  snoozedUntil: string | null
  snoozeReason: string
  slices: InsightSlice[]
  missingMoney: { currency: string; amount: number }[]
  changes: Change[]
}

/** A value, or a pair of values, that explains why a metric was off. */
export interface InsightSlice {
  metric: string
  field: string
  value: string
  secondField: string
  secondValue: string
  observed: number
  expected: number
  contribution: number
}

export interface Change {
  time: string
  kind: string
  name: string
  detail: string
}

export interface WatchedInsights {
  isSnapshot: boolean
  incidents: WatchedInsight[]
  budgetAlarms: BudgetAlarm[]
}

/** That a day has reached so many percent of its budget. */
export interface BudgetAlarm {
  alarmId: string
  day: string
  percent: number
  dailyUsd: number
  usedUsd: number
  found: string
}

export interface Budget {
  ownDailyUsd: number | null
  operatorDailyUsd: number | null
  dailyUsd: number | null
  usedTodayUsd: number
  usedShare: number | null
  setBy: string
  setTime: string | null
}

export interface StepFigure {
  name: string
  userCount: number
  shareOfFirst: number
  shareOfPrevious: number
  medianSeconds: number | null
  p90Seconds: number | null
}

export interface Funnels extends Answered {
  funnels: { name: string; isOther: boolean; steps: StepFigure[] }[]
}

export interface Cohort {
  start: string
  userCount: number
  returns: { userCount: number; share: number; isUnfinished: boolean }[]
}

export interface Retention extends Answered {
  cohorts: Cohort[]
}

export interface Place {
  column: number
  name: string
  kind: 'place' | 'other' | 'left'
  sessionCount: number
}

export interface Paths extends Answered {
  places: Place[]
  links: { fromPlace: number; toPlace: number; sessionCount: number }[]
}

export interface Struggle {
  kind: string
  page: string
  target: string
  struggleCount: number
  userCount: number
  offeredCount: number
  lastTime: string
}

export interface Struggles extends Answered {
  struggles: Struggle[]
}

export interface Happening {
  kind: 'struggle' | 'decision' | 'outcome'
  time: string
  userId: string
  decisionId: string
  page: string
  score: number
  level: string
  why: string
  signal: string | null
  target: string
  reason: string | null
  interventionId: string
  action: string
  channel: string
  outcome: string | null
}

export interface Happenings {
  happenings: Happening[]
  leftOutCount: number
}

export interface Indicator {
  name: string
  contribution: number
  reason: string
}

export interface Decision {
  decisionId: string
  kind: string
  reasons: string[]
  score: number
  level: string
  indicators: Indicator[]
  struggles: string[]
  interventionId: string
  explanation: string
  alternatives: { action: string; channel: string; successProbability: number; refusal: string; isChosen: boolean }[]
  policyVersion: string
}

/** What the ledger has of a decision, and the archive has not; gateways before arms leave it out. */
export interface Standing {
  segment?: string
  group?: string
  arm?: string
}

/** An intervention and what came of it. */
export interface Offered {
  intervention: { action: string; channel: string; message: string }
  outcome: string | null
  isEnded: boolean
  withdrawalReason: string | null
  deliveries: { channel: string; state: string; attemptCount: number; updateTime: string | null; provider: string; reason: string }[]
}

/** A decision as the ledger has it. */
export interface Derived {
  hasPast: boolean
  decision: {
    kind: string
    reasons: string[]
    explanation: string
    intervention: { action: string; channel: string } | null
    policyVersion: string
    candidates: { action: string; channel: string; successProbability: number; refusal: string | null; isChosen: boolean }[]
  }
}

export interface Entry {
  time: string
  beginsSession: boolean
  event: { eventId: string; eventType: string; page: string; target: string; errorCode: string; videoId: string; outcome: string } | null
  decision: Decision | null
}

export interface Journey extends Answered {
  entries: Entry[]
}

export interface Row {
  userId: string
  time: string
  page: string
  target: string
  eventCount: number
  score: number | null
  level: string
  reason: string
  decisionId: string
  interventionId: string
  outcome: string
}

export interface List extends Answered {
  rows: Row[]
  totalCount: number
}

export interface Risk {
  userId: string
  assessment: { score: number; level: string; confidence: number; ruleScore: number; modelScore: number }
  contributions: Indicator[]
  eventTime: string
  modelVersion: string
  rulesVersion: string
  /** null from a scoring of the previous version; so is `exitRisk`. */
  struggle: { score: number; evidence: Indicator[] } | null
  exitRisk: { probability: number | null; outcome: string; learningState: string | null; ownUserCount: number } | null
}

export interface Lift {
  dimension: string
  name: string
  treatedCount: number
  treatedConversionCount: number
  holdoutCount: number
  holdoutConversionCount: number
  lift: number
  lower: number
  upper: number
  isKnown: boolean
}

export interface Lifts {
  experiment: string
  lifts: Lift[]
  sampleRatioPValue: number
}

export interface Model {
  modelVersion: string
  trainingSource: string
  trainingTime: string
  featureSchemaVersion: string
  /** In words, with its horizon. */
  outcome: string
  /** null from a scoring of the previous version. */
  learningState: string | null
  ownUserCount: number
  /** Markdown. */
  card: string
}

export interface Policies {
  policies: { version: string; startTime: string; document: string; experimentId: string }[]
}

export interface Prompts {
  prompts: { version: string; hash: string; text: string; names: string[]; isInForce: boolean; firstUseTime: string | null }[]
  troubles: { name: string; why: string }[]
  experimentId: string
}

export interface Usage {
  isOn: boolean
  degraded: string
  tokenCount: number
  tokenLimit: number
  costMicroUsd: number
  costLimitMicroUsd: number
  models: { modelId: string; callCounts: Record<string, number>; costMicroUsd: number; isCostUnknown: boolean }[]
}

export interface Video {
  videoId: string
  durationSeconds: number
  viewerCount: number
  retention: { second: number; viewerCount: number; playCount: number; retentionRatio: number }[]
  dropOffs: Span[]
  replayHotSpots: Span[]
}

export interface Span {
  startSeconds: number
  endSeconds: number
}

export interface Features {
  definitions: { name: string; meaning: string; unit: string; window: string }[]
}

export interface Pipeline {
  standings: { reader: string; shard: string; owner: string; checkpoint: string; lagSeconds: number; trouble: string }[]
}

export interface FailedEvent {
  id: string
  reason: string
  detail: string
  failedTime: string
  userId: string
  payload: string
  stage: string
  isPayloadCut: boolean
}

export interface FailedEvents {
  failedEvents: FailedEvent[]
  nextCursor: string | null
}

export interface CustomersFit {
  state: string
  customerCount: number
}

export interface CustomerSegments {
  fit: CustomersFit
  segments: { name: string; customerCount: number; share: number; strategy: { aim: string; offer: string } }[]
  groups: { name: string; customerCount: number; daysSince: number; orderDays: number; money: number }[]
}

export interface SegmentMembers {
  userIds: string[]
  nextAfter: string
}

export interface MigrationRow {
  segment: string
  movedTo: { segment: string; customerCount: number; share: number }[]
}

export interface Migration {
  rows: MigrationRow[]
  groupRows: MigrationRow[]
  groupTransitions: { group: string; change: string; became: string[] }[]
}

export interface SegmentPerformances {
  days: number
  segments: {
    segment: string
    customerCount: number
    orderCount: number
    money: { currency: string; amount: number; share: number }[]
    startingCount: number
    returningCount: number
    conversion: number | null
    lift: Lift | null
  }[]
}

export interface Interval {
  lower: number
  upper: number
}

export interface Foretold {
  segment: string
  group: string
  active: number | null
  currency: string
  horizons: { days: number; orders: number; ordersSpan: Interval; money: number | null; moneySpan: Interval | null }[]
  due: { productId: string; name: string; daysLeft: number; probability: number; probabilitySpan: Interval }[]
  backTest: { expectedOrders: number; happenedOrders: number } | null
  nextBasket: { untilDate: string; customerCount: number; recall: number; personalRecall: number; gainSpan: Interval; protocol: string } | null
}

export interface Finding {
  metric: string
  arm: string
  units: number
  controlUnits: number
  mean: number | null
  controlMean: number | null
  difference: number | null
  lower: number | null
  upper: number | null
  relative: number | null
  direction: 'better' | 'worse' | 'open'
  guardrail: 'none' | 'harmed' | 'safe' | 'open'
}
