"""Method x label budget x repeat -> rows -> a summary, a recommendation and a model: the main job, in one folder.

    STUDY/  study.json  results.jsonl  predictions/*.npz  runs/<fit>/*.png  summary.json  pictures/  model/  sealed.bin

The eight rules of an honest verdict and where they are enforced:

1. the test part is sealed, looks are counted           sealed.py, measured.count_look
2. no image is in both parts                            data.split, prepared.refuse_shared
3. same labels, seed and steps for all methods          plan.seed_of, measured.refuse_mixed, measured.unequal
4. last averaged weights, a validation part no larger than the labelled one     a fit never sees test labels; fits.fit
5. six paired repeats before a difference is real       stats.judged
6. intervals, Holm, ties, tie groups                    stats
7. generated images: never tested on, never from outside the fold     prepared.refuse_generated
8. every row keeps what its numbers came from           plan.Study.append
"""

from .job import Summary, compare, summarise
from .sealed import Sealed

__all__ = ["Sealed", "Summary", "compare", "summarise"]
