"""The words by which headers and labels are understood, in one place where a data holder can read them.

English, with the few words of other languages that tables of results often carry. All lower case.
"""

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A header with one of these counts something, whatever else it says.
COUNT_WORDS: Final = _words(
    """
    n ns count counts freq freqs frequency frequencies nobs observations obs npatients nsubjects
    """
)

# A header with one of these counts people or what happened to them.
PEOPLE_WORDS: Final = _words(
    """
    persons person people patients patient participants participant subjects individuals cases case controls
    control events event deaths death died dead alive survivors censored carriers donors women men females males
    female male boys girls children adults members households families samples total totals responders
    nonresponders smokers users completers dropouts relapses recurrences strokes infarctions admissions
    hospitalisations hospitalizations diagnoses births
    """
)

# What is counted when it is not people: these turn `n_exons` into an ordinary number.
THINGS: Final = _words(
    """
    exons genes snps snp variants loci features clusters iterations iter reads bases models parameters params
    trees folds components tests columns rows files levels classes transcripts pathways nodes edges terms steps
    estimators neighbors jobs splits repeats
    """
)

# A header with one of these is a statistic other than a count.
STATISTIC_WORDS: Final = _words(
    """
    mean means avg average median mode sd std stdev se sem stderr var variance cov covariance ci lower upper low
    high lcl ucl lci uci min max minimum maximum q1 q2 q3 iqr quantile percentile p pval pvalue padj fdr qvalue
    pct percent percentage perc prop proportion share shares rate rates ratio fraction frac or rr hr irr beta
    betas b coef coefficient coefficients estimate estimates est effect z t f wald chi chi2 chisq stat statistic
    df dof aic bic loglik ll r r2 rsq auc roc score scores sensitivity specificity precision recall accuracy f1
    rmse mae per weight weighted log logit exp odds hazard survival probability prob rank power alpha
    correlation rho kappa skew kurtosis
    """
)

# Quantities that are not people.
TOPIC_WORDS: Final = _words(
    """
    year years yr month months quarter day days week weeks hour hours date time times age ages dose height bmi
    temperature pos position bp start end stop chrom chromosome chr strand order index idx level code zip grade
    stage length width distance cost costs price euro eur amount value af maf id ids row line version seed
    iteration epoch step fold lag bin k cluster depth mg kg cm mm ml
    """
)

# Headers that are statistics among decimals and categories among whole numbers.
SHORT_LEVELS: Final = _words(
    """
    f t z b r k or low high no yes
    """
)

# Whole headers that count.
COUNTING_HEADERS: Final = frozenset(
    {("number",), ("num",), ("no", "of"), ("group", "size"), ("sample", "size"), ("size",)}
)

# A numeric column with one of these shows that a table holds aggregates and not records.
AGGREGATE_WORDS: Final = COUNT_WORDS | STATISTIC_WORDS | _words("total totals persons events")

# With an identifying word, these make a header one of identifiers of people.
PERSON_WORDS: Final = _words(
    """
    patient patients subject participant person pseudonym sample donor proband individual respondent member case
    record study enrolee enrollee visit admission hospitalisation family mother father child sibling barcode
    specimen
    """
)

# Words that say identifier.
ID_WORDS: Final = _words(
    """
    id ids identifier no nr number code key uid uuid guid
    """
)

# Headers that identify people by themselves, without blanks and underscores.
PERSON_IDS: Final = _words(
    """
    id pid eid iid fid uid sid mrn nhsnumber nhs patientid subjectid sampleid participantid personid recordid
    studyid caseid familyid donorid individualid pseudonym pseudonymid ssn nino nhsno encid visitid
    """
)

# Identified things that are not people.
NOT_PEOPLE_WORDS: Final = (
    _words(
        """
    gene variant rs rsid snp chromosome model term region site hospital country table figure category cluster
    drug atc icd pathway go trait phenotype trial arm group strand transcript probe cpg protein ensembl
    entrez area
    """
    )
    | THINGS
)
