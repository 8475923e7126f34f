/// Every multi-rank case, a line a floor. A new floor adds its list here and its file beside this one.
var allCases: [MultiRankCase] {
  collectivesCases + agreementCases + childCases + waitCases + layersCases + methodsCases + comparisonCases
    + shuffleCases + trainingCases + updateCases + normsCases + studiesCases + measuresCases + threadCountCases
}
