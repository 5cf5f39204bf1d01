"""What each mutant breaks, which checks must reject it, which let it pass, and what it paints.

The last column was seen, not supposed: `paint.py` put each mutant into the package and painted a photograph of a river
town in the manner of a famous night sky, with the real VGG-19, 80 pixels wide, 30 iterations of L-BFGS-B from the
photograph. The objective starts at 28.6, and the genuine code brings it to 3.40 (5.57 with reflecting borders, 2.87
with average pooling, 7.14 with a total variation a thousand times as heavy, 3.02 in scaled cosine coefficients, for
the mutants of those; those of colors recolor the painting first, by principal axes). The numbers are
what the genuine objective says of the mutant's picture; where a line search fails, rounding decides how early. The
moral of the column is that a good picture proves nothing. The mutants of tiles were painted 256 pixels wide, in tiles
of 208. Those of films painted four frames of 96 pixels on the small network, a square that moves before a moving town,
20 iterations each; the loss is that of the last frame, with the mutant, the flicker is measured by the genuine code.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from mutants import catalogue


class Mutant(NamedTuple):
    """A row: the function, the subject it replaces, and what becomes of it."""

    function: Callable[..., Any]
    subject: str
    breaks: str
    rejected_by: tuple[str, ...]
    accepted_by: tuple[str, ...]
    picture: str

    @property
    def name(self) -> str:
        """The name in words."""
        return self.function.__name__.replace("_", " ")


ALL = ("adjoint", "projection", "taylor")
DIFFERENCES = ("projection", "taylor")
ANYWHERE = ("projection", "projection, inside 0 to 255")
GOOD = "as good as the genuine one"
PHOTOGRAPH = "the photograph, unchanged"

MUTANTS = [
    Mutant(
        catalogue.border_cut_instead_of_folded,
        "pad_backward",
        "the border's share of the gradient is thrown away",
        ALL,
        (),
        "a good picture with a restless rim; 5.97 instead of 5.57",
    ),
    Mutant(
        catalogue.corners_forgotten,
        "pad_backward",
        "rows and columns are folded, the corners that lie on both are not",
        ALL,
        (),
        f"{GOOD}; 5.79 instead of 5.57",
    ),
    Mutant(
        catalogue.shift_not_reversed,
        "conv3x3_backward",
        "the gradient is gathered as the input was, not scattered back: the transposed kernel is not turned round",
        ALL,
        (),
        "coloured noise over the photograph: the line search fails after 7 iterations at 19.3",
    ),
    Mutant(
        catalogue.crop_off_by_one,
        "conv3x3_backward",
        "the padded gradient is cropped from its corner, so every layer shifts it by a pixel",
        ALL,
        (),
        "the photograph with dark dirt in the shadows, and the descent ends after 11 iterations at 22.8",
    ),
    Mutant(
        catalogue.channels_not_transposed,
        "conv3x3_backward",
        "w[i, j] where its transpose belongs, which the shapes forbid only where C and K differ",
        ALL,
        (),
        "the photograph, a faint grid in its sky, and the descent ends after 5 iterations at 28.2",
    ),
    Mutant(
        catalogue.rows_and_columns_exchanged,
        "conv3x3_backward",
        "w[j, i] for w[i, j]: every kernel mirrored on its diagonal",
        ALL,
        (),
        "smears over the photograph: the line search fails after 17 iterations at 15.7",
    ),
    Mutant(
        catalogue.border_wraps_around,
        "conv3x3_backward",
        "roll for shift: the gradient that leaves on the left enters on the right",
        ALL,
        (),
        "a good picture, darker, with rubbish along the rim; 4.48",
    ),
    Mutant(
        catalogue.kernel_flipped,
        "conv3x3_forward",
        "a true convolution where the weights were made for a correlation; the pair is consistent",
        ("definition",),
        ALL,
        "a good picture, with longer strokes: another network's taste, and 5.60 by the right one",
    ),
    Mutant(
        catalogue.weight_gradient_without_the_border,
        "conv3x3_weight_gradient",
        "the padding is forgotten where the weights look at it",
        ALL,
        (),
        "none: it spoils training, not painting",
    ),
    Mutant(
        catalogue.bias_gradient_averaged,
        "conv3x3_bias_gradient",
        "a mean over the pixels where their sum belongs",
        ALL,
        (),
        "none: it slows training, unseen",
    ),
    Mutant(
        catalogue.mask_from_the_gradient,
        "relu",
        "the rectifier's mask is taken from the gradient: a deconvolution network's rule, not the derivative",
        (*ALL, "ties"),
        (),
        f"{PHOTOGRAPH}: the line search fails after 5 iterations at 28.8",
    ),
    Mutant(
        catalogue.mask_forgotten,
        "relu",
        "the gradient passes where nothing passed forward",
        (*ALL, "ties"),
        (),
        f"{PHOTOGRAPH}: the line search fails at once",
    ),
    Mutant(
        catalogue.gradient_at_zero,
        "relu",
        "the derivative at zero is one, against the convention of every framework",
        ("ties",),
        ALL,
        f"{GOOD}, to the last bit: real features before a rectifier are not zero",
    ),
    Mutant(
        catalogue.every_tie_gets_the_gradient,
        "max_pool",
        "where several pixels are the maximum, each gets the whole gradient; behind a rectifier zeros tie everywhere",
        ("ties",),
        ALL,
        f"{GOOD}, to the last bit: behind a rectifier only zeros tie, and its mask forgives them",
    ),
    Mutant(
        catalogue.gradient_to_the_first_pixel,
        "max_pool",
        "the gradient goes to the block's first pixel instead of its largest",
        (*ALL, "ties"),
        (),
        "a plaid of dots two, four and eight pixels apart; 6.35",
    ),
    Mutant(
        catalogue.code_read_by_column,
        "max_pool",
        "a kernel's index: the code counts the block's pixels in rows, and is read as if in columns",
        (*ALL, "ties"),
        (),
        f"{GOOD}; 3.55 instead of 3.41",
    ),
    Mutant(
        catalogue.average_not_divided,
        "average_pool_backward",
        "each of the four pixels gets the whole gradient, so it grows fourfold at every pool",
        (*ALL, "adjoint, even sides"),
        (),
        "a good picture, glaring in colour: the deep layers shout; 4.23 instead of 2.87",
    ),
    Mutant(
        catalogue.border_blocks_divided_by_four,
        "average_pool_backward",
        "a border block of two pixels shares out as if it had four",
        ALL,
        ("adjoint, even sides",),
        f"{GOOD}; 2.81 instead of 2.87, by luck",
    ),
    Mutant(
        catalogue.tap_enters_behind_its_layer,
        "sequence_backward",
        "a tap's gradient is added after its layer's backward step instead of before: it skips the rectifier",
        ("projection", "taylor", "projection, one tap"),
        (),
        f"{GOOD}; 3.59",
    ),
    Mutant(
        catalogue.tap_overwrites,
        "sequence_backward",
        "a tap's gradient replaces what came from below it: = for +=",
        DIFFERENCES,
        ("projection, one tap",),
        "the photograph with its sky slightly ruffled, and the descent ends after 17 iterations at 27.5",
    ),
    Mutant(
        catalogue.only_the_deepest_tap,
        "sequence_backward",
        "the sweep starts at the deepest tap and never stops for another",
        DIFFERENCES,
        ("projection, one tap",),
        "a good picture in the wrong colours, violet for blue; 7.18",
    ),
    Mutant(
        catalogue.rectifier_in_place,
        "sequence_forward",
        "the rectifier writes into its input, which was tapped as the convolution's output",
        (*DIFFERENCES, "definition"),
        ("definition, behind rectifiers",),
        f"{GOOD}, to the last bit, as long as no convolution is tapped",
    ),
    Mutant(
        catalogue.channels_not_reversed,
        "preprocess_backward",
        "the gradient stays blue, green, red on its way to a picture that is red, green, blue",
        ("adjoint, caffe",),
        ("adjoint, torchvision",),
        "a violet sky and red houses, and the descent ends after 20 iterations at 12.8",
    ),
    Mutant(
        catalogue.std_forgotten,
        "preprocess_backward",
        "the division by each channel's deviation is left out",
        ("adjoint, torchvision",),
        ("adjoint, caffe",),
        f"{GOOD}, to the last bit, with weights in Caffe's convention, whose deviations are one",
    ),
    Mutant(
        catalogue.mean_in_the_wrong_order,
        "preprocess_forward",
        "the mean of red is taken from blue; the pair is consistent",
        ("definition",),
        ALL,
        f"{GOOD}; 3.46 by the right mean",
    ),
    Mutant(
        catalogue.gram_gradient_without_the_two,
        "moments_backward",
        "f fᵀ depends on f twice, and one of the two is forgotten",
        (*DIFFERENCES, "adjoint", "adjoint, no mask"),
        (),
        f"{GOOD}; 3.38: it halves the style's weight, and nobody sees that",
    ),
    Mutant(
        catalogue.gram_gradient_not_symmetric,
        "moments_backward",
        "2 dG f for (dG + dGᵀ) f: right as long as dG is symmetric",
        ("adjoint", "adjoint, no mask"),
        DIFFERENCES,
        f"{GOOD}, to the last bit: the Gram loss has a symmetric gradient; the next loss may not",
    ),
    Mutant(
        catalogue.gradient_of_the_sums_ignored,
        "moments_backward",
        "the gradient at the sums is dropped, which only losses of means and covariances have",
        ("adjoint", "adjoint, no mask"),
        DIFFERENCES,
        f"{GOOD}, to the last bit, with the Gram loss",
    ),
    Mutant(
        catalogue.mask_applied_twice,
        "moments_backward",
        "the region's weight is multiplied into the gradient a second time",
        (*DIFFERENCES, "adjoint"),
        ("adjoint, no mask",),
        f"{GOOD}, to the last bit, without a mask, or with one of zeros and ones",
    ),
    Mutant(
        catalogue.mask_not_applied,
        "moments_backward",
        "the region's weight is in the statistic and not in its gradient",
        (*DIFFERENCES, "adjoint"),
        ("adjoint, no mask",),
        f"{GOOD}, to the last bit, without a mask",
    ),
    Mutant(
        catalogue.moments_in_one_float32_sum,
        "moments_forward",
        "every pixel's product joins one total in float32, whose last digits are spent when the small ones arrive",
        ("precision",),
        ("definition, few pixels",),
        "not painted: the error grows with the picture",
    ),
    Mutant(
        catalogue.mean_in_the_value_sum_in_the_gradient,
        "gram_loss",
        "the value is divided by the number of pixels, the gradient is not",
        DIFFERENCES,
        (),
        f"{PHOTOGRAPH}: the line search fails at once",
    ),
    Mutant(
        catalogue.divided_by_the_paintings_size,
        "gram_loss",
        "the gradient is divided by the painting's number of pixels where the picture's belongs",
        DIFFERENCES,
        (),
        f"{GOOD}; 3.23: it weighs the style anew, by the ratio of two sizes",
    ),
    Mutant(
        catalogue.style_gradient_normalized,
        "gram_loss",
        "the layer's gradient is brought to a fixed size on the way, so it is no longer the derivative of anything",
        DIFFERENCES,
        (),
        f"{PHOTOGRAPH}: the line search fails at once; methods without one do paint",
    ),
    Mutant(
        catalogue.content_gradient_without_the_two,
        "content_backward",
        "the square's derivative without its factor",
        (*DIFFERENCES, "projection, behind a rectifier"),
        (),
        f"{GOOD}; 3.34: it halves the content's weight, and nobody sees that",
    ),
    Mutant(
        catalogue.content_gradient_masked_by_the_sign,
        "content_backward",
        "zero where the feature is negative: a rectifier's derivative, at a tap that may lie before the rectifier",
        DIFFERENCES,
        ("projection, behind a rectifier",),
        f"{GOOD}, to the last bit, at relu4_2, whose own mask does the same",
    ),
    Mutant(
        catalogue.held_where_nothing_is_known,
        "temporal_gradient",
        "a frame is held to the last one also where the flow is lost",
        DIFFERENCES,
        ("projection, certain everywhere",),
        "what a moving square uncovers, and what comes in at the edge, is smeared in stripes; 1.82 instead of 1.24",
    ),
    Mutant(
        catalogue.moved_against_the_flow,
        "moved",
        "the last frame is moved the other way",
        ("a pan",),
        ("at rest",),
        "good frames, and a film that flickers: 24.5 gray levels instead of 2.4",
    ),
    Mutant(
        catalogue.forward_flow_not_looked_up_where_it_leads,
        "certainty",
        "the flow there is read on the wrong side, not where the flow back leads",
        ("a square",),
        ("a pan",),
        "nothing that an eye sees at the square; a flicker of 4.8 gray levels instead of 2.4",
    ),
    Mutant(
        catalogue.variation_wraps_around,
        "total_variation",
        "the gradient takes the picture for a torus, the value does not",
        DIFFERENCES,
        (),
        f"{GOOD}; 7.20 instead of 7.14",
    ),
    Mutant(
        catalogue.variation_looks_one_way,
        "total_variation",
        "a difference is charged to one of its two pixels only",
        DIFFERENCES,
        (),
        "a good picture, not smoothed; 9.70 instead of 7.14, in 91 evaluations instead of 31",
    ),
    Mutant(
        catalogue.weight_on_the_value_only,
        "evaluate",
        "the term's weight multiplies the value and not the gradient",
        ANYWHERE,
        ("fresh",),
        f"{PHOTOGRAPH}: the line search fails after 3 iterations",
    ),
    Mutant(
        catalogue.weight_counted_twice,
        "evaluate",
        "the weight is in the loss, and multiplied into the gradient again",
        ANYWHERE,
        ("fresh",),
        f"{GOOD}; 3.37",
    ),
    Mutant(
        catalogue.variation_missing_from_the_value,
        "objective",
        "the gradient of the total variation is added, its value is not",
        ANYWHERE,
        ("fresh",),
        f"{GOOD}; 7.16 instead of 7.14, this time: the search compares values that are not the gradient's",
    ),
    Mutant(
        catalogue.whole_gradient_normalized,
        "objective",
        "the gradient is divided by its own mean size",
        ANYWHERE,
        ("fresh",),
        f"{PHOTOGRAPH}: the line search fails at once",
    ),
    Mutant(
        catalogue.picture_clipped_on_the_way_in,
        "objective",
        "values are clipped to 0 to 255 before the network sees them, and the gradient does not know",
        ("projection",),
        ("projection, inside 0 to 255", "fresh"),
        "a good picture; 3.32 as it sees itself, 4.80 without the clipping",
    ),
    Mutant(
        catalogue.live_buffer_returned,
        "objective",
        "the same gradient buffer is handed out at each call and overwritten at the next",
        ("fresh",),
        ANYWHERE,
        f"{GOOD}, to the last bit, where the optimizer makes a copy; where not, y = g − g = 0",
    ),
    Mutant(
        catalogue.gradient_of_the_picture_before,
        "objective",
        "value and gradient are cached apart, and the gradient is that of the last call",
        ("fresh",),
        ANYWHERE,
        "a good picture; 3.96, in 84 evaluations instead of 32",
    ),
    Mutant(
        catalogue.halo_rounded_down,
        "halo_of",
        "a tile computes 64 pixels around what it owns, where a value of the fifth block sees 70",
        ("whole picture",),
        ("projection",),
        f"{GOOD}, near the seams too; 2.404 instead of 2.359",
    ),
    Mutant(
        catalogue.halo_counted_twice,
        "owned",
        "every tile measures its halo too, so what lies near a seam counts twice or four times",
        ("whole picture",),
        ("projection",),
        "a good picture; 2.98 as it sees itself, 2.64 instead of 2.36 for the genuine objective",
    ),
    Mutant(
        catalogue.color_map_not_transposed,
        "match_affine",
        "pixels are rows, and a row is mapped by the transpose: A where Aᵀ belongs",
        ("covariance, every map",),
        ("covariance, symmetric map", "means", "deviations"),
        "poison green and magenta with the map by principal axes; with the symmetric map, its own transpose, "
        "as good as the genuine one",
    ),
    Mutant(
        catalogue.channels_matched_apart,
        "match_affine",
        "each channel gets its mean and deviation by itself, and how channels go together stays as it was",
        ("covariance, every map", "covariance, symmetric map"),
        ("means", "deviations"),
        f"{GOOD}, a little yellower in the sky",
    ),
    Mutant(
        catalogue.border_not_written_down,
        "network_settings",
        "the recipe has the settings of the run, and not those of the network's borders, pooling and rounding",
        ("again",),
        ("by eye",),
        "right; made again by its recipe at 144 px, another as good, 22 gray levels away in the mean",
    ),
    Mutant(
        catalogue.numbers_written_to_six_digits,
        "toml_value",
        "the recipe's numbers are rounded as a program prints them, so that 1/30000 becomes 3.33333e-05",
        ("again",),
        ("by eye",),
        "right; made again by its recipe at 96 px, another as good, 7 gray levels away in the mean",
    ),
    Mutant(
        catalogue.coarse_picture_forgotten,
        "enlarged",
        "every scale begins at the photograph again, and the coarse ones have worked for nothing",
        ("what was painted",),
        ("size",),
        "a good picture with smaller strokes; 3.40 instead of the 2.64 that 40 and then 80 pixels reach",
    ),
    Mutant(
        catalogue.gradient_transformed_like_a_picture,
        "spectrum_backward",
        "the gradient is divided by the scale, as a picture is, where it must be multiplied",
        ALL,
        ("adjoint, exponent 0",),
        f"{GOOD}; 3.39 instead of 3.02, as without a change of variables",
    ),
    Mutant(
        catalogue.scale_applied_twice,
        "spectrum_backward",
        "the gradient at the coefficients is multiplied by the scale once more, as the step of the picture is",
        ALL,
        ("adjoint, exponent 0",),
        f"{GOOD}; 2.99 instead of 3.02, by luck",
    ),
    Mutant(
        catalogue.scale_forgotten,
        "spectrum_backward",
        "the gradient is transformed and not scaled",
        ALL,
        ("adjoint, exponent 0",),
        f"{GOOD}; 3.12 instead of 3.02",
    ),
    Mutant(
        catalogue.weight_carried_the_wrong_way,
        "carry_over",
        "a weight is multiplied by the other program's factor and divided by its own",
        ("same loss",),
        ("there and back",),
        f"{GOOD}: with neural-style's 1e3 a layer the content has no say anyway; carried "
        "the other way round, the photograph",
    ),
]
