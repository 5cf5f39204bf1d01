"""Which line of each mutant is wrong, as the gallery of bugs marks it.

A part of the line is enough, as long as no other line of the function has it. Where the fault is that something is
missing, it is the line that should have it.
"""

WRONG_LINES: dict[str, tuple[str, ...]] = {
    # padding and convolution
    "border_cut_instead_of_folded": ("return dxpad[1:-1, 1:-1]",),
    "corners_forgotten": ("d[1:-1, 2] +=", "d[1:-1, -3] +="),
    "shift_not_reversed": ("dypad[i : i + H, j : j + W]",),
    "crop_off_by_one": ("return dxpad[:H, :W]",),
    "channels_not_transposed": ("dy @ w[i, j]",),
    "rows_and_columns_exchanged": ("dy @ w[j, i].T",),
    "border_wraps_around": ("xp.roll",),
    "kernel_flipped": ("w[::-1, ::-1]",),
    "tiles_rounded_down": ("H // m * m",),
    "points_in_two_orders": ("G[order]",),
    "weight_gradient_without_the_border": ("inner = dy[1:-1, 1:-1]",),
    "bias_gradient_averaged": ("dy.mean",),
    # rectifier and pooling
    "mask_from_the_gradient": ("dy > 0",),
    "mask_forgotten": ("return dy",),
    "gradient_at_zero": ("x >= 0",),
    "every_tie_gets_the_gradient": ("== largest",),
    "gradient_to_the_first_pixel": ("] = dy",),
    "code_read_by_column": ("here = w % 2 * 2 + h % 2",),
    "average_not_divided": ("spread = ",),
    "border_blocks_divided_by_four": ("/ 4",),
    # the chain
    "tap_enters_behind_its_layer": ("dx = layer.backward(dx, cache)",),
    "tap_overwrites": ("dx = dfeatures[layer.name]",),
    "only_the_deepest_tap": ("dx = entering if dx is None else dx",),
    "rectifier_in_place": ("x[...] = y",),
    # the way into the network
    "channels_not_reversed": ("return dx / std",),
    "std_forgotten": ("return dx * (convention.scale / 255)",),
    "mean_in_the_wrong_order": ("mean[::-1]",),
    # the losses
    "gram_gradient_without_the_two": ("df = f @ dmoments.outer",),
    "gram_gradient_not_symmetric": ("df = 2 * (f @ dmoments.outer",),
    "gradient_of_the_sums_ignored": ("df = f @",),
    "mask_applied_twice": ("mask * mask",),
    "mask_not_applied": ("return f @",),
    "moments_in_one_float32_sum": ("dtype=xp.float32",),
    "mean_in_the_value_sum_in_the_gradient": ("d.outer * moments.count",),
    "divided_by_the_paintings_size": ("/ target.count",),
    "style_gradient_normalized": ("xp.abs(d.outer).mean()",),
    "held_where_nothing_is_known": ("content_backward(ds, f, target)",),
    "moved_against_the_flow": ("-flow",),
    "forward_flow_not_looked_up_where_it_leads": ("-backward",),
    "overlaps_overwritten": ("= parts[:, :, i, j]",),
    "overlaps_averaged": ("/ xp.maximum(count, 1)",),
    "content_gradient_without_the_two": ("/ 2",),
    "content_gradient_masked_by_the_sign": ("where(f > 0",),
    "variation_wraps_around": ("xp.roll",),
    "variation_looks_one_way": ("dp[:-1] -= down", "dp[:, :-1] -= across"),
    # the objective
    "weight_on_the_value_only": ("df = term.spread(ds, f)",),
    "weight_counted_twice": ("term.weight * term.weight",),
    "variation_missing_from_the_value": ('value - objective.terms["total variation"]',),
    "whole_gradient_normalized": ("gradient / np.abs(gradient).mean()",),
    "picture_clipped_on_the_way_in": ("np.clip(v, 0, 255)",),
    "live_buffer_returned": ("return value, objective.buffer",),
    "gradient_of_the_picture_before": ("return value, before",),
    "branch_frozen_when_recorded": ("if not hasattr", "if objective.launches_penalty"),
    # tiles
    "halo_rounded_down": ("radius // stride * stride",),
    "halo_counted_twice": ("inside = slice",),
    # colors
    "color_map_not_transposed": ("@ color_map(cov_s, cov_t, method)",),
    "channels_matched_apart": ("return centered",),
    # the recipe
    "border_not_written_down": ("return {",),
    "numbers_written_to_six_digits": (":g}",),
    # from scale to scale
    "coarse_picture_forgotten": ("resize(plan.p, size)",),
    # the change of variables
    "gradient_transformed_like_a_picture": ("spectrum.inverse(dp)",),
    "scale_applied_twice": ("spectrum.scale**2",),
    "scale_forgotten": ("return spectrum._transform(dp)",),
    # weights of other programs
    "weight_carried_the_wrong_way": ("table[target](at) / table[source](at)",),
}
